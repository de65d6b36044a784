"""The control API: payer without a browser, clock, books, log, merchants, reset, and its manual."""

import json
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from tests.simulator.shopkeeper import KEY, MID, OTHER_MID, sha, simulator

from wongate_simulator.app import ROUTES
from wongate_simulator.clock import KST, Clock
from wongate_simulator.control_manual import CALLS


async def test_pay_without_an_outcome_uses_the_preset_and_else_a_card(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.control("POST", "outcomes", {"queue": ["cancel"]})
        codes = []
        for _ in range(2):
            wanted = {"redirect_data": keeper.redirect_data(keeper.window_body())}
            codes.append((await keeper.control("POST", "pay", wanted)).json()["result"]["AuthResultCode"])

        assert ["I009", "0000"] == codes


async def test_a_named_outcome_wins_over_the_preset_and_leaves_the_queue_alone(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.control("POST", "outcomes", {"queue": ["cancel"]})

        assert "0000" == (await keeper.pay("card"))["result"]["AuthResultCode"]
        assert 1 == len((await keeper.control("GET", "outcomes")).json()["queue"])
        await keeper.control("DELETE", "outcomes")
        assert {"by_moid": {}, "by_amount": {}, "queue": []} == (
            await keeper.control("GET", "outcomes")
        ).json()


async def test_pay_sends_next_app_url_on_the_address_that_the_merchant_uses(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        local = keeper.url.replace("127.0.0.1", "localhost")
        data = {**keeper.redirect_data(keeper.window_body()), "url": f"{local}/v3/v3Payment.jsp"}
        bridge = {**keeper.redirect_data(keeper.window_body()), "url": "https://platform.test/bridge"}
        through_local = (
            await keeper.control("POST", "pay", {"redirect_data": data, "deliver": False})
        ).json()
        through_bridge = (
            await keeper.control("POST", "pay", {"redirect_data": bridge, "deliver": False})
        ).json()

        assert through_local["result"]["NextAppURL"].startswith(local)
        assert through_bridge["result"]["NextAppURL"].startswith(keeper.url)


async def test_pay_reports_a_return_url_that_cannot_be_reached(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        body = keeper.window_body(ReturnUrl="http://127.0.0.1:1/return")
        answer = await keeper.control("POST", "pay", {"redirect_data": keeper.redirect_data(body)})

        assert 502 == answer.status
        assert (None, None) == (answer.json()["return"]["status"], answer.json()["return"]["location"])
        assert "ClientConnectorError" in answer.json()["return"]["error"]


@pytest.mark.parametrize(
    "wanted, complaint",
    [
        ({}, "redirect_data must be"),
        ({"redirect_data": {"body": "x"}}, "redirect_data must be"),
        ({"redirect_data": {"method": "GET", "body": {}}}, "method must be POST"),
        ({"redirect_data": {"body": {"Amt": 1000}}}, "strings only; not so: Amt"),
        ({"redirect_data": {"body": {}}, "outcome": "win"}, "outcome must be one of card"),
        ({"redirect_data": {"body": {}}, "outcome": {"outcome": "card", "cc_part_cl": "2"}}, "cc_part_cl"),
        ({"redirect_data": {"body": {}}, "outcome": {"outcome": "card", "quota": "3"}}, "quota"),
        (
            {"redirect_data": {"body": {}}, "outcome": {"outcome": "card", "luck": "1"}},
            "unknown member 'luck'",
        ),
        ({"redirect_data": {"body": {}}, "deliver": "no"}, "deliver must be"),
    ],
)
async def test_a_bad_pay_is_refused_in_words(wanted: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        answer = await keeper.control("POST", "pay", wanted)

        assert 400 == answer.status
        assert complaint in answer.json()["error"]


@pytest.mark.parametrize(
    "path, wanted",
    [
        ("outcomes", {}),
        ("outcomes", {"moid": "a", "amount": 1, "outcome": "card"}),
        ("outcomes", {"amount": "1", "outcome": "card"}),
        ("outcomes", {"queue": "card"}),
        ("outcomes", {"queue": ["card", "luck"]}),
        ("clock", {}),
        ("clock", {"advance_s": "60"}),
        ("clock", {"advance_s": True}),
        ("clock", {"advance_s": 1, "reset": True}),
        ("clock", {"now": "noon"}),
        ("clock", {"now": "99999-01-01"}),
        ("clock", {"advance_s": 1e300}),
        ("merchants", {}),
        ("merchants", {"mid": "with-dash"}),
        ("merchants", {"mid": MID, "colour": "red"}),
        ("merchants", {"mid": MID, "min_amount": "100"}),
        ("merchants", {"mid": MID, "min_amount": -1}),
        ("merchants", {"mid": MID, "notices": 1}),
        ("merchants", {"mid": MID, "partial_tid": "maybe"}),
        ("merchants", {"mid": MID, "notice_url": "ftp://x"}),
        ("clock", {"advance_s": float("nan")}),
        ("faults", []),
    ],
)
async def test_bad_control_calls_are_400_and_change_nothing(path: str, wanted: Any, tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.paid()
        before = [(await keeper.control("GET", what)).json() for what in ("outcomes", "merchants", "books")]
        answer = await keeper.control("POST", path, wanted)
        clock = (await keeper.control("GET", "clock")).json()
        after = [(await keeper.control("GET", what)).json() for what in ("outcomes", "merchants", "books")]

        assert 400 == answer.status
        assert answer.json()["error"]
        assert (before, 0.0) == (after, clock["offset_s"])


async def test_a_body_that_is_not_json_is_refused(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        for body in (b"on=approve", b"\xff", b"[" * 100_000, b'{"moid": "\\ud83d", "outcome": "card"}'):
            assert 400 == (await keeper.post("/control/outcomes", body)).status
        assert 400 == (await keeper.get("/control/exchanges?limit=many")).status
        assert 400 == (await keeper.get("/control/notices?limit=many")).status


async def test_the_clock_moves_by_seconds_to_a_moment_and_back(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        forward = (await keeper.control("POST", "clock", {"advance_s": 3600})).json()
        new_year = datetime(2030, 1, 1, 9, tzinfo=KST).timestamp()
        for moment in ("2030-01-01T09:00:00", "2030-01-01T00:00:00+00:00"):
            before = time.time()
            moved = (await keeper.control("POST", "clock", {"now": moment})).json()
            assert new_year - time.time() <= moved["offset_s"] <= new_year - before
            assert moved["now"].startswith("2030-01-01T09:")
            assert moved["now"].endswith("+09:00")
        back = (await keeper.control("POST", "clock", {"reset": True})).json()

        assert 3600 == forward["offset_s"]
        assert 0 == back["offset_s"]


def test_processes_share_the_clock_through_its_file(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "clock"
    one, other = Clock(file), Clock(file)
    one.advance(86_400)
    late = Clock(file)
    before = time.time()

    assert 8 == file.stat().st_size
    assert 86_400 == other.offset_s
    assert 86_400 == late.offset_s
    assert before + 86_400 <= other.now() <= time.time() + 86_400


async def test_the_log_shows_fields_hash_input_without_the_key_and_hints(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay(Moid="m1"))["result"]
        date = keeper.edi_date()
        padded = sha(result["AuthToken"], MID, "000000001000", date, KEY)
        await keeper.approve(result, EdiDate=date, SignData=padded)
        await keeper.paid(Moid="another")
        raw = await keeper.control("GET", "exchanges?moid=m1")
        exchanges = raw.json()["exchanges"]

        assert ["approve", "result", "window"] == [exchange["kind"] for exchange in exchanges]
        assert [
            ["AuthToken", result["AuthToken"]],
            ["MID", MID],
            ["Amt", "1000"],
            ["EdiDate", date],
        ] == exchanges[0]["hash_input"]
        assert ("A211", False, "padded") == (
            exchanges[0]["verdict"],
            exchanges[0]["signature_ok"],
            exchanges[0]["hints"][0]["key"],
        )
        assert "Amt was hashed padded" in exchanges[0]["hints"][0]["text"]
        assert (True, "opened") == (exchanges[2]["signature_ok"], exchanges[2]["verdict"])
        assert 1 == len(
            (await keeper.control("GET", f"exchanges?tid={result['TxTid']}&limit=1")).json()["exchanges"]
        )


async def test_no_answer_of_the_simulator_shows_a_key(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await keeper.paid()
        await keeper.approve(result, SignData="0" * 64)
        places = [
            "/",
            "/exchanges",
            "/admin",
            f"/admin/{result['AuthToken']}",
            "/control",
            "/control/merchants",
            "/control/exchanges",
        ]
        texts = [(await keeper.get(place)).text() for place in places]

        assert not [
            place for place, text in zip(places, texts, strict=True) if KEY in text or KEY[:20] in text
        ]


async def test_merchants_are_added_changed_and_kept(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        await keeper.control("POST", "merchants", {"mid": "newshop00m", "key": "secret", "min_amount": 5})
        await keeper.control("POST", "merchants", {"mid": "newshop00m", "name": "새 상점"})
    async with simulator(tmp_path) as keeper:
        await keeper.control("POST", "reset")
        merchants = {m["mid"]: m for m in (await keeper.control("GET", "merchants")).json()["merchants"]}
        body = keeper.window_body(key="secret", MID="newshop00m", Amt="5")

        assert ("새 상점", 5, True) == tuple(
            merchants["newshop00m"][name] for name in ("name", "min_amount", "key_set")
        )
        assert {MID, OTHER_MID} < set(merchants)
        assert 303 == (await keeper.post("/v3/v3Payment.jsp", body)).status


async def test_reset_forgets_everything_but_merchants_and_time(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        tid = (await keeper.paid(Moid="m1"))["TxTid"]
        await keeper.cancel(tid, 100, partial=True)
        await keeper.fault("approve", "reset")
        await keeper.control("POST", "outcomes", {"queue": ["cancel"]})
        await keeper.advance(60)
        await keeper.control("POST", "reset")

        assert [] == (await keeper.control("GET", "books")).json()["books"]
        assert [] == (await keeper.control("GET", "faults")).json()["faults"]
        assert [] == (await keeper.control("GET", "outcomes")).json()["queue"]
        assert [] == (await keeper.control("GET", "exchanges")).json()["exchanges"]
        assert 60 == (await keeper.control("GET", "clock")).json()["offset_s"]
        await keeper.paid(Moid="m1")


# the manual


def test_the_manual_lists_exactly_the_calls_that_exist() -> None:

    routes = {
        (method, route.path)
        for route in ROUTES
        if isinstance(route, Route) and route.path.startswith(("/control/", "/healthz"))
        for method in (route.methods or set()) - {"HEAD"}
    }

    assert routes == {(call.method, call.path) for call in CALLS}


async def test_the_examples_of_the_manual_work_as_printed(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        page = (await keeper.get("/control?lang=en")).text().replace("&#39;", "'").replace("&#34;", '"')
        examples = re.findall(r"curl -s (?:-X (\w+) )?(?:-d '(.+?)' )?'(\S+?)'", page)
        statuses = {}
        for method, body, url in examples:
            assert url.startswith(keeper.url)
            if "{...}" in body:
                body = json.dumps(
                    {"redirect_data": keeper.redirect_data(keeper.window_body()), "outcome": "card"}
                )
            verb = method or ("POST" if body else "GET")
            async with keeper.http.request(verb, url, data=body or None) as answer:
                statuses[verb, url] = answer.status

        assert 15 < len(examples)
        assert {200, 201} == set(statuses.values())


def test_kst_is_nine_hours_ahead() -> None:
    assert 9 * 3600 == KST.utcoffset(None).total_seconds()
