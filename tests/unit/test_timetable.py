"""Timetables over clock changes and month ends."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from wongate.domain.timetable import LOOK_BACK, Every, Timetable, due, next_after, period

ZONES = (
    *("Asia/Seoul", "Europe/Moscow", "Europe/Berlin", "America/New_York", "America/Sao_Paulo"),
    *("Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/Havana", "UTC"),
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def runs(table: Timetable, since: str, number: int) -> list[str]:
    zone, moment, found = ZoneInfo(table.zone), at(since), []
    for _ in range(number):
        moment = next_after(table, moment)
        found.append(moment.astimezone(zone).isoformat(" ", "minutes"))
    return found


def test_a_skipped_hour_runs_once_when_the_clocks_have_jumped() -> None:
    table = Timetable(Every.DAY, 1, 2, "Europe/Berlin")
    assert ["2026-03-28 02:00+01:00", "2026-03-29 03:00+02:00", "2026-03-30 02:00+02:00"] == runs(
        table, "2026-03-28T00:00+01:00", 3
    )


def test_a_doubled_hour_runs_once_the_first_time() -> None:
    table = Timetable(Every.DAY, 1, 2, "Europe/Berlin")
    assert ["2026-10-25 02:00+02:00", "2026-10-26 02:00+01:00"] == runs(table, "2026-10-25T00:00+02:00", 2)


def test_the_last_day_of_a_shorter_month_stands_in() -> None:
    table = Timetable(Every.MONTH, 31, 9, "Asia/Seoul")
    assert [
        *("2026-01-31 09:00+09:00", "2026-02-28 09:00+09:00", "2026-03-31 09:00+09:00"),
        "2026-04-30 09:00+09:00",
    ] == runs(table, "2026-01-15T00:00+09:00", 4)


def test_a_week_begins_where_the_table_says() -> None:
    table = Timetable(Every.WEEK, 1, 0, "Asia/Seoul")
    assert ["2026-11-30 00:00+09:00", "2026-12-07 00:00+09:00"] == runs(table, "2026-11-23T00:00+09:00", 2)


def test_a_report_is_about_whole_days_that_are_over() -> None:
    monday = at("2026-11-30T07:00+09:00")
    for every, since, until in (
        (Every.DAY, "2026-11-29", "2026-11-30"),
        (Every.WEEK, "2026-11-23", "2026-11-30"),
        (Every.MONTH, "2026-10-01", "2026-11-01"),
    ):
        assert (at(f"{since}T00:00+09:00"), at(f"{until}T00:00+09:00")) == period(
            Timetable(every, 1, 7, "Asia/Seoul"), monday
        )


def test_days_of_a_report_have_the_length_that_the_clocks_give_them() -> None:
    table = Timetable(Every.DAY, 1, 6, "Europe/Berlin")
    since, until = period(table, at("2026-03-30T06:00+02:00"))
    assert timedelta(hours=23) == until - since


def test_an_outage_is_made_up_for_but_not_without_end() -> None:
    table = Timetable(Every.DAY, 1, 9, "Asia/Seoul")
    first = at("2026-11-01T09:00+09:00")
    found, coming = due(table, first, at("2026-11-03T10:00+09:00"))
    assert [first + timedelta(days=day) for day in range(3)] == found
    assert at("2026-11-04T09:00+09:00") == coming
    found, coming = due(table, first, at("2026-11-30T10:00+09:00"))
    assert (LOOK_BACK, at("2026-11-30T09:00+09:00")) == (len(found), found[-1])
    assert ([], first) == due(table, first, first - timedelta(seconds=1))


def test_a_day_that_a_country_left_out_is_neither_run_nor_missed() -> None:
    table = Timetable(Every.DAY, 1, 9, "Pacific/Apia")
    moment, periods = at("2011-12-29T12:00-10:00"), []
    for _ in range(2):
        moment = next_after(table, moment)
        periods.append(period(table, moment))
    assert at("2011-12-31T09:00+14:00") == at("2011-12-30T19:00Z") < moment
    assert [(at("2011-12-29T00:00-10:00"), at("2011-12-31T00:00+14:00"))] == periods[:1]
    assert periods[0][1] == periods[1][0]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(Every),
    st.integers(1, 31),
    st.integers(0, 23),
    st.dates(date(2010, 1, 1), date(2030, 1, 1)),
)
def test_every_day_of_the_table_has_one_run_and_periods_leave_no_gap(
    zone: str, every: Every, day: int, hour: int, start: date
) -> None:
    table = Timetable(every, day if every is Every.MONTH else 1 + day % 7, hour, zone)
    moment = datetime(start.year, start.month, start.day, tzinfo=UTC)
    days, ended = [], None
    for _number in range(40):
        moment = next_after(table, moment)
        local = moment.astimezone(ZoneInfo(zone))
        days.append(local.date())
        since, until = period(table, moment)
        assert since < until <= moment
        if every is Every.DAY and ended is not None:
            assert since == ended
        ended = until
    assert len(set(days)) == len(days)
