"""The Data API as an outside program meets it: signed questions, signed answers, limits, errors, pushes (5.6, E-23, E-24)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from tests.world import CALLER, PROJECT_ID, Answer, OpenWorld, World, ask

from wongate.app import Application
from wongate.domain.person import Session
from wongate.domain.rights import Right, Role
from wongate.domain.signature import sign, verify
from wongate.flows import people, profile
from wongate.flows.audit import OPERATOR
from wongate.flows.people import OPERATOR_MAY, Access
from wongate.flows.push import Pushing
from wongate.flows.retention import Retention
from wongate.flows.sign_in import Visitor
from wongate.settings import Settings
from wongate.store import pushes
from wongate.web.data_api import DataApi

GET = "/v1/operations/get"
ORDER = [
    *("project_id", "operation_id", "payment_id", "operation_type", "operation_status", "account_number"),
    *("customer_ip", "payment_method_name", "payment_method_type", "payment_description"),
    *("operation_created_at", "operation_completed_at", "provider_date", "shipment_date", "sum_initial"),
    *("sum_converted", "arn", "rrn", "payment_provider_code", "payment_provider_message"),
]


@dataclass(slots=True)
class Client:
    """Somebody's program: a token, its secret, and the process that it talks to."""

    world: World
    token: str
    secret: str
    app: Any = None

    async def post(self, path: str, secret: str = "", **members: Any) -> Answer:
        message = {"token": self.token, **members}
        message["signature"] = sign(message, secret or self.secret)
        return await ask(
            self.app or self.world.app, "POST", path, json.dumps(message).encode(), client=CALLER
        )

    async def operations(self, **members: Any) -> list[dict[str, Any]]:
        answer = await self.post(GET, **members)
        assert 200 == answer.status, answer.raw
        assert verify(answer.body, answer.body["signature"], [self.secret])
        found: list[dict[str, Any]] = answer.body["operations"]
        return found


async def client(world: World, *roles: Role, login: str = "anna@shop.example", **rights: Any) -> Client:
    async with world.platform.database.transaction() as tx:
        await tx.execute("INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '') ON CONFLICT DO NOTHING")
    access = Access(frozenset(roles or {Role.FINANCE}), frozenset({PROJECT_ID}), **rights)
    await people.create(world.platform, OPERATOR, OPERATOR_MAY, login, "", access)
    person = await people.find_by_login(world.platform, login)
    assert person is not None
    now = world.clock.now()
    session = Session(1, "", person.person_id, "127.0.0.1", "", now, now, now)
    made = await profile.create_api_token(
        world.platform, Visitor(person=person, session=session, address="127.0.0.1", now=now)
    )
    return Client(world, made.token, made.secret)


def error(answer: Answer) -> tuple[int, str]:
    """Status and message of an error in its documented shape."""
    assert {"name", "message", "code", "status"} == set(answer.body), answer.raw
    assert (0, answer.status) == (answer.body["code"], answer.body["status"])
    return answer.status, answer.body["message"]


async def test_an_operation_is_shown_with_texts_in_the_documented_order(open_world: OpenWorld) -> None:
    async with open_world() as world:
        sale = await world.paid_sale(payment__description="one book")
        shown = (await (await client(world)).operations())[0]
        assert ORDER == list(shown)
        row = (await sale.operations())[0]
        assert str(row["operation_id"]) == shown["operation_id"]
        assert (str(PROJECT_ID), sale.payment_id) == (shown["project_id"], shown["payment_id"])
        assert ("sale", "success") == (shown["operation_type"], shown["operation_status"])
        assert ("payco", "payco") == (shown["payment_method_name"], shown["payment_method_type"])
        assert {"amount": 1000, "currency": "KRW"} == shown["sum_initial"] == shown["sum_converted"]
        assert ("1.1.1.1", "one book", "") == (
            shown["customer_ip"],
            shown["payment_description"],
            shown["arn"],
        )
        at = datetime.fromisoformat(shown["operation_completed_at"])
        assert (timedelta(hours=9), row["changed_at"]) == (at.utcoffset(), at)
        assert "3001" == shown["payment_provider_code"]


async def test_the_zone_of_the_request_shifts_selection_and_answer(open_world: OpenWorld) -> None:
    async with open_world() as world:
        await world.paid_sale()
        caller = await client(world)
        now = world.clock.now()
        for zone, shift in (("+10:30", timedelta(hours=10.5)), ("Asia/Kolkata", timedelta(hours=5.5))):
            local = (now + shift).replace(tzinfo=None)
            for separator in (" ", "T"):
                interval = {
                    "from": (local - timedelta(minutes=1)).isoformat(separator),
                    "to": (local + timedelta(minutes=1)).isoformat(separator),
                }
                found = await caller.operations(interval=interval, tz=zone)
                assert shift == datetime.fromisoformat(found[0]["operation_created_at"]).utcoffset()
            assert [] == await caller.operations(interval=interval, tz="-03:00")


async def test_both_ends_of_an_interval_count(open_world: OpenWorld) -> None:
    async with open_world() as world:
        await world.paid_sale()
        caller = await client(world)
        second = world.clock.now().replace(tzinfo=None).isoformat(" ")
        assert 1 == len(await caller.operations(interval={"from": second, "to": second}, tz="+00:00"))


async def test_filters_limit_and_offset_choose(open_world: OpenWorld) -> None:
    async with open_world() as world:
        sales = []
        for number in range(3):
            sales.append(await world.paid_sale(customer__id=f"c{number}", customer__email=f"c{number}@x.kr"))
            world.clock.advance(1)
        await sales[0].refund(payment__amount=400, payment__currency="KRW")
        await world.work()
        caller = await client(world)

        async def ids(**members: Any) -> list[str]:
            return [item["payment_id"] for item in await caller.operations(**members)]

        first, second, third = (sale.payment_id for sale in sales)
        assert [first, third, second, first] == await ids()
        assert [first, third] == await ids(limit="2")
        assert [second] == await ids(limit=1, offset="2")
        assert [] == await ids(limit=0)
        assert [first] == await ids(operation_type="refund")
        assert [third, second, first] == await ids(operation_type=["sale", "chargeback"])
        assert [] == await ids(operation_status="decline")
        assert [third, second] == await ids(customer_id=["c1", "c2"])
        assert [second] == await ids(customer_email="c1@x.kr")
        assert [first, third, second, first] == await ids(project_id=[str(PROJECT_ID)])


async def test_fields_choose_members_but_not_their_order(open_world: OpenWorld) -> None:
    async with open_world() as world:
        sale = await world.paid_sale(customer__email="a@b.kr")
        await sale.refund(payment__amount=400, payment__currency="KRW")
        await world.work()
        caller = await client(world)
        fields = ["remaining_refund", "sum_initial.amount", "operation_id", "customer_email", "auth_code"]
        fields += ["completed_refund", "project_name", "transaction_status", "provider_payment_id", "eci"]
        refund, paid = await caller.operations(fields=fields)
        assert [
            *("operation_id", "sum_initial", "auth_code", "completed_refund", "customer_email", "eci"),
            *("project_name", "provider_payment_id", "remaining_refund", "transaction_status"),
        ] == list(paid)
        assert ({"amount": 1000}, {"amount": 400}) == (paid["sum_initial"], refund["sum_initial"])
        assert ("400", "600", "a@b.kr", "") == (
            paid["completed_refund"],
            paid["remaining_refund"],
            paid["customer_email"],
            paid["eci"],
        )
        row = (await sale.operations())[0]
        assert (row["details"]["AuthCode"], row["reference"]) == (
            paid["auth_code"],
            paid["provider_payment_id"],
        )
        assert ("partially refunded", "") == (paid["transaction_status"], refund["provider_payment_id"])
        assert {"amount", "currency"} == set(
            (await caller.operations(fields=["sum_initial"]))[0]["sum_initial"]
        )


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"fields": ["operation_id", "colour"]}, "fields: 'colour' is not known"),
        ({"fields": 7}, "fields must be a string or a list of strings"),
        ({"limit": 1001}, "limit must be an integer from 0 to 1000"),
        ({"limit": "2.5"}, "limit must be an integer from 0 to 1000"),
        ({"limit": True}, "limit must be an integer from 0 to 1000"),
        ({"offset": -1}, "offset must be an integer from 0 to 1000000000"),
        ({"tz": "Mars/Olympus"}, "tz must be an IANA time zone or an offset such as +10:30"),
        ({"tz": "../../etc/passwd"}, "tz must be an IANA time zone or an offset such as +10:30"),
        ({"tz": "+25:00"}, "tz must be an IANA time zone or an offset such as +10:30"),
        ({"interval": []}, "interval must be an object with from and to"),
        ({"interval": {"from": "2026-01-01 00:00:00"}}, "interval.to must be a date and time as"),
        (
            {"interval": {"from": "2026-02-30 00:00:00", "to": "2026-03-01 00:00:00"}},
            "interval.from must be a date",
        ),
        (
            {"interval": {"from": "9999-12-31 23:59:59", "to": "9999-12-31 23:59:59"}, "tz": "-14:00"},
            "interval.from must",
        ),
        (
            {"interval": {"from": "2026-02-02 00:00:00", "to": "2026-02-01 00:00:00"}},
            "interval.to must not be before interval.from",
        ),
        ({"project_id": "x"}, "project_id must be a list of integers"),
        ({"customer_id": {"a": 1}}, "customer_id must be a string or a list of strings"),
        ({"customer_email": 5}, "customer_email must be a string"),
        ({"destination_url": "ftp://x"}, "destination_url must be an absolute http or https URL"),
    ],
)
async def test_what_cannot_be_read_is_named(
    open_world: OpenWorld, members: Mapping[str, Any], message: str
) -> None:
    async with open_world() as world:
        status, said = error(await (await client(world)).post(GET, **members))
        assert (400, message) == (status, said[: len(message)])


async def test_only_the_token_and_its_own_secret_open_the_door(open_world: OpenWorld) -> None:
    async with open_world() as world:
        caller = await client(world)
        assert (401, "The signature is not valid") == error(await caller.post(GET, secret="other"))
        stranger = Client(world, "x" * 30, caller.secret)
        assert (401, "The token is not valid") == error(await stranger.post(GET))
        raw = json.dumps({"token": caller.token}).encode()
        assert (400, "token and signature are required") == error(await ask(world.app, "POST", GET, raw))
        message = {"token": caller.token, "limit": 1}
        tampered = {**message, "signature": sign(message, caller.secret), "limit": 2}
        answer = await ask(world.app, "POST", GET, json.dumps(tampered).encode())
        assert (401, "The signature is not valid") == error(answer)


async def test_a_token_lends_its_persons_projects_and_rights(
    open_world: OpenWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world() as world:
        await world.paid_sale()
        caller = await client(world)
        assert (401, "You have no access to project_id = 77") == error(
            await caller.post(GET, project_id=[PROJECT_ID, 77])
        )
        assert ("data api refused", "You have no access to project_id = 77") in [
            (record.message, getattr(record, "why", "")) for record in caplog.records
        ]
        blind = await client(world, login="b@x.kr", rights_removed=frozenset({Right.PAYMENTS}))
        assert (403, "You may not see payments") == error(await blind.post(GET))
        support = await client(world, Role.SUPPORT, login="s@x.kr")
        assert (403, "You may not see balances") == error(await support.post("/v1/balance/get"))
        async with world.platform.database.transaction() as tx:
            await tx.execute("DELETE FROM person_project")
        assert [] == await caller.operations()


async def test_a_person_who_is_locked_out_has_no_token_any_more(open_world: OpenWorld) -> None:
    async with open_world() as world:
        caller = await client(world)
        async with world.platform.database.transaction() as tx:
            await tx.execute("UPDATE person SET active = false")
        assert (401, "The token is not valid") == error(await caller.post(GET))


async def test_the_61st_request_of_a_minute_is_refused_whichever_process_answers(
    open_world: OpenWorld,
) -> None:
    async with open_world() as world, open_world(audited=False) as other:
        caller = await client(world)
        for number in range(60):
            caller.app = (world, other)[number % 2].app
            assert 200 == (await caller.post(GET, limit=0)).status
        refused = await caller.post(GET, limit=0)
        assert (429, "No more than 60 requests a minute") == error(refused)
        world.clock.advance(int(refused.headers["retry-after"]) - 1)
        assert 429 == (await caller.post(GET)).status
        world.clock.advance(1)
        assert 200 == (await caller.post(GET)).status


async def test_a_wrong_signature_uses_nothing_up(open_world: OpenWorld) -> None:
    async with open_world() as world:
        caller = await client(world)
        for _ in range(61):
            await caller.post(GET, secret="guess")
        assert 200 == (await caller.post(GET)).status


async def test_requests_over_more_than_180_days_take_turns_ten_seconds_apart(open_world: OpenWorld) -> None:
    async with open_world() as world:
        caller = await client(world)
        waits: list[float] = []

        async def pause(seconds: float) -> None:
            waits.append(seconds)

        caller.app = DataApi(world.platform, pause=pause)
        narrow = {"from": "2025-01-01 00:00:00", "to": "2025-06-01 00:00:00"}
        wide = {"from": "2025-01-01 00:00:00", "to": "2025-08-01 00:00:00"}
        for interval in (wide, narrow, wide, wide):
            assert [] == await caller.operations(interval=interval)
        assert [10.0, 20.0] == waits
        world.clock.advance(27)
        await caller.operations(interval=wide)
        assert [10.0, 20.0, 3.0] == waits


async def test_a_payment_is_found_by_its_id_in_any_case(open_world: OpenWorld) -> None:
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.refund(payment__amount=300, payment__currency="KRW")
        await world.work()
        caller = await client(world)
        answer = await caller.post("/v1/operations/get-by-payment", payment_id=sale.payment_id.lower())
        assert verify(answer.body, answer.body["signature"], [caller.secret])
        assert [("sale", 1000, "KRW"), ("refund", 300, "KRW")] == [
            (item["operation_type"], item["amount"], item["currency"]) for item in answer.body["operations"]
        ]
        assert (
            [] == (await caller.post("/v1/operations/get-by-payment", payment_id="none")).body["operations"]
        )
        whole = (await caller.post("/v1/payment/get", payment_id=sale.payment_id)).body
        assert ("partially refunded", "700") == (
            whole["payment"]["transaction_status"],
            whole["payment"]["remaining_refund"],
        )
        assert 2 == len(whole["operations"])
        assert (404, "There is no such payment") == error(
            await caller.post("/v1/payment/get", payment_id="none")
        )
        assert 400 == (await caller.post("/v1/payment/get")).status


async def test_the_balance_is_what_was_taken_less_what_went_back(open_world: OpenWorld) -> None:
    async with open_world() as world:
        sale = await world.paid_sale()
        await world.paid_sale(payment__amount=5000)
        await sale.refund(payment__amount=300, payment__currency="KRW")
        await world.work()
        answer = await (await client(world)).post("/v1/balance/get")
        name = await world.value("SELECT name FROM project")
        assert [{"name": name, "KRW": "5700"}] == answer.body["balance"]


async def test_the_answer_is_pushed_until_it_is_taken_with_200(open_world: OpenWorld) -> None:
    async with open_world(audited=False) as world:
        await world.paid_sale()
        caller = await client(world)
        bodies: list[bytes] = []

        async def taken(request: web.BaseRequest) -> web.StreamResponse:
            bodies.append(await request.read())
            return web.Response(status=(500, 204, 200)[len(bodies) - 1])

        runner = web.ServerRunner(web.Server(taken))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        pushing = Pushing(world.platform)
        try:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/take"
            answer = await caller.post(GET, destination_url=url)
            for _ in range(4):
                await pushing.tick()
                await pushing.drain()
                world.clock.advance(10)
        finally:
            await runner.cleanup()
        assert 3 == len(bodies)
        assert {answer.raw} == set(bodies)
        row = (await world.rows("SELECT state, attempt, failures, http_status FROM push"))[0]
        assert ("delivered", 3, 2, 200) == tuple(row)


async def test_a_failed_push_recorded_twice_counts_once(open_world: OpenWorld) -> None:
    """So it is repeated where the answer to the commit of its record was lost (F18)."""
    async with open_world(audited=False) as world:
        await (await client(world)).post(GET, destination_url="http://127.0.0.1:9/")
        now = world.clock.now()
        async with world.platform.database.transaction() as tx:
            [lane] = await pushes.lanes_due(tx, now)
            [due] = await pushes.claim(tx, lane, now, now + timedelta(seconds=60), 10)
            for _ in range(2):
                await pushes.record(tx, due, state="waiting", due_at=now, http_status=500, error="", now=now)
        assert (1, 1) == tuple((await world.rows("SELECT attempt, failures FROM push"))[0])


async def test_a_push_that_has_ended_can_be_seen_for_four_days(open_world: OpenWorld) -> None:
    async with open_world(audited=False) as world:
        caller, retention = await client(world), Retention(world.platform, {})
        for _ in range(2):
            await caller.post(GET, destination_url="http://127.0.0.1:9/")
        now = world.clock.now()
        async with world.platform.database.transaction() as tx:
            [lane] = await pushes.lanes_due(tx, now)
            [due] = await pushes.claim(tx, lane, now, now + timedelta(seconds=60), 1)
            await pushes.record(tx, due, state="delivered", due_at=now, http_status=200, error="", now=now)
        for seconds, left in ((4 * 86_400, 2), (1, 1)):
            world.clock.advance(seconds)
            await retention.tick()
            assert left == await world.value("SELECT count(*) FROM push")
        assert "waiting" == await world.value("SELECT state FROM push")


async def test_a_push_goes_nowhere_that_callbacks_may_not_go(open_world: OpenWorld) -> None:
    async with open_world() as world:
        caller = await client(world)
        status, _ = error(await caller.post(GET, destination_url="http://169.254.169.254/latest"))
        assert (400, 0) == (status, await world.value("SELECT count(*) FROM push"))
        await caller.post(GET, destination_url="http://127.0.0.1:1/nobody")
        pushing = Pushing(world.platform)
        await pushing.tick()
        await pushing.drain()
        assert ("waiting", 1) == tuple((await world.rows("SELECT state, failures FROM push"))[0])
        closed = Application(Settings("", "", data_push=False))
        closed.compose(world.platform)
        caller.app = closed
        assert 400 == (await caller.post(GET, destination_url="http://127.0.0.1:1/nobody")).status


@pytest.mark.parametrize(
    ("method", "path", "raw", "status"),
    [
        ("GET", GET, b"", 405),
        ("POST", "/v1/operations", b"{}", 404),
        ("POST", GET, b"", 400),
        ("POST", GET, b"[]", 400),
        ("POST", GET, b'{"token":"a","token":"b"}', 400),
        ("POST", GET, b'{"token":"a\\u0000","signature":"b"}', 400),
        ("POST", GET, b'{"token":"\\ud800","signature":"b"}', 400),
        ("POST", GET, b'{"token":NaN}', 400),
        ("POST", GET, b"[" * 100_000, 400),
        ("POST", GET, b"\xff\xfe", 400),
        ("POST", GET, b" " * (256 * 1024 + 1), 413),
        ("POST", GET, b'{"token":"\xed\x95\x9c","signature":"x"}', 401),
    ],
)
async def test_nothing_a_client_sends_breaks_it(
    open_world: OpenWorld, method: str, path: str, raw: bytes, status: int
) -> None:
    async with open_world(audited=False) as world:
        answer = await ask(world.app, method, path, raw)
        assert status == error(answer)[0]


@pytest.mark.parametrize(
    "page_url, sent", [("https://pay.example/payment", True), ("http://127.0.0.1", False)]
)
async def test_over_tls_every_answer_keeps_its_reader_on_tls(
    open_world: OpenWorld, page_url: str, sent: bool
) -> None:
    async with open_world() as world:
        caller = await client(world)
        world.platform.page_url = page_url
        world.app.compose(world.platform)
        for path, status in ((GET, 200), ("/v1/nothing", 404), ("/v2/nothing", 404)):
            answer = await caller.post(path)
            assert (status, sent) == (answer.status, "strict-transport-security" in answer.headers)


async def test_the_payment_pages_check_keeps_its_path(open_world: OpenWorld) -> None:
    async with open_world(audited=False) as world:
        answer = await ask(world.app, "GET", "/v1/params/check")
        assert "errors" in answer.body
