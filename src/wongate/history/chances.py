"""What a believable day of a Korean web shop looks like: when people buy, for how much, and what goes wrong how often."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

SEOUL = ZoneInfo("Asia/Seoul")

HOURS = (18, 11, 7, 4, 3, 3, 6, 14, 28, 42, 52, 56, 58, 55, 50, 48, 47, 48, 52, 60, 70, 78, 66, 38)
"""Weight of each hour: dead before dawn, lunch, and the long evening on the phone."""

WEEKDAYS = (1.04, 1.0, 0.97, 0.98, 1.02, 0.94, 1.05)
GROWTH_A_YEAR = 0.35

GOODS = (
    *(
        "무선 이어폰",
        "여름 원피스",
        "커피 원두 1kg",
        "운동화",
        "영양제 60정",
        "책 세 권",
        "캠핑 의자",
        "충전기",
    ),
    *("강아지 사료", "선크림", "김치 5kg", "보드게임", "공연 입장권", "모바일 쿠폰", "전기 포트", "잠옷"),
)
PRICES = (
    900,
    2_500,
    4_900,
    8_900,
    12_000,
    15_900,
    19_800,
    24_000,
    29_900,
    39_000,
    49_000,
    68_000,
    98_000,
    159_000,
)
PRICE_WEIGHTS = (3, 6, 9, 12, 13, 13, 12, 10, 9, 7, 5, 3, 2, 1)

CARDS = (
    ("01", "비씨"),
    ("02", "KB국민"),
    ("04", "삼성"),
    ("06", "신한"),
    ("07", "현대"),
    ("08", "롯데"),
    ("12", "NH농협"),
)
CARD_WEIGHTS = (9, 21, 17, 22, 14, 9, 8)

SUCCESS_SHARE = 0.872
DECLINES = {20105: 34, 20301: 26, 20602: 17, 20102: 8, 20201: 5, 20101: 4, 20203: 2, 20401: 2, 20202: 2}
"""Code -> weight among payments that do not succeed: no money, changed minds, walked away, wrong password, ..."""

BEFORE_APPROVAL = frozenset({20301, 20102})
"""Declined in the window, before any money could move."""

PAGE_SHARE = 0.3
REFUND_SHARE = 0.045
REFUND_FULL_SHARE = 0.62
REFUND_DECLINED_SHARE = 0.02
REFUND_WITHIN = timedelta(days=12)
UNRESOLVED_SHARE = 0.0001
CALLBACK_LOST_SHARE = 0.00005
OUTAGE_SHARE = 0.05
"""Days on which the shop takes no callbacks for a while."""

CUSTOMERS = 40_000


@dataclass(frozen=True, slots=True)
class Outage:
    """While the shop takes no callbacks; answered with `http_status`, None for no answer at all."""

    since: datetime
    until: datetime
    http_status: int | None

    def covers(self, at: datetime) -> bool:
        return self.since <= at < self.until


def payments_of(day: date, per_day: int, last: date, chance: Random) -> int:
    """Around `per_day` on average over the last year before `last`, more in newer days."""
    years_ago = (last - day).days / 365
    growth = 1 + GROWTH_A_YEAR * (0.5 - min(years_ago, 1))
    return max(1, round(per_day * growth * WEEKDAYS[day.weekday()] * chance.uniform(0.94, 1.06)))


def moments(day: date, number: int, until: datetime, chance: Random) -> list[datetime]:
    """When they are opened, in order; none after `until`."""
    midnight = datetime.combine(day, time(), SEOUL)
    hours = chance.choices(range(24), HOURS, k=number)
    found = sorted(
        midnight + timedelta(hours=hour, milliseconds=chance.randrange(3_600_000)) for hour in hours
    )
    return [at for at in found if at < until]


def outages(day: date, chance: Random) -> Sequence[Outage]:
    if chance.random() >= OUTAGE_SHARE:
        return ()
    since = datetime.combine(day, time(chance.randrange(1, 22), chance.randrange(60)), SEOUL)
    return (
        Outage(since, since + timedelta(minutes=chance.randrange(5, 50)), chance.choice((500, 502, None))),
    )


def price(chance: Random) -> int:
    return chance.choices(PRICES, PRICE_WEIGHTS)[0] * chance.choices((1, 2, 3), (80, 15, 5))[0]


def customer(chance: Random) -> str:
    """A few come often, most come once."""
    return f"user{int(CUSTOMERS * chance.random() ** 2.2) + 1}"


def decline_code(chance: Random) -> int:
    return chance.choices(list(DECLINES), list(DECLINES.values()))[0]
