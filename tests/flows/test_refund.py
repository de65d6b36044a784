"""Refunds: what may go back, in which order, never more than was taken, and never sent blindly twice."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.world import PROJECT_ID, QUICK, OpenWorld, Sale, World, signed_bytes

PATH = "/v2/payment/wallet/payco/refund"


async def refunds(sale: Sale) -> list[tuple[int, str, str]]:
    """Amount, status and code of each refund as the status answer shows them, oldest first."""
    return [
        (operation["sum_initial"]["amount"], operation["status"], operation["code"])
        for operation in (await sale.status())["operations"]
        if operation["type"] == "refund"
    ]


async def payment(sale: Sale) -> tuple[str, int]:
    shown = (await sale.status())["payment"]
    return shown["status"], shown["sum"]["amount"]


async def cancelled(sale: Sale) -> int:
    gone: int = (await sale.books())["cancelled"]
    return gone


# --- the good way ---


async def test_a_refund_without_amount_takes_everything(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        answer = await sale.refund(payment__description="반품")
        assert (200, "success") == (answer.status, answer.body["status"])
        assert ("success", 1000) == await payment(sale)  # E-12: nothing changes before it succeeds
        await world.work()
        assert ("refunded", 0) == await payment(sale)
        body = world.merchant.received[-1].body
        assert ("refunded", {"amount": 0, "currency": "KRW"}, "반품") == (
            body["payment"]["status"],
            body["payment"]["sum"],
            body["payment"]["description"],
        )
        assert answer.body["request_id"] == body["operation"]["request_id"]
        books = await sale.books()
        assert ("cancelled", ["full"]) == (books["state"], [cancel["kind"] for cancel in books["cancels"]])


async def test_partial_refunds_add_up_and_the_last_one_empties_the_payment(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        for amount, expected in ((300, ("partially refunded", 700)), (200, ("partially refunded", 500))):
            await sale.refund(payment__amount=amount, payment__currency="KRW")
            await world.work()
            assert expected == await payment(sale)
        await sale.refund()
        await world.work()
        assert ("refunded", 0) == await payment(sale)
        assert [(300, "success", "0"), (200, "success", "0"), (500, "success", "0")] == await refunds(sale)
        kinds = [cancel["kind"] for cancel in (await sale.books())["cancels"]]
        assert ["partial"] * 3 == kinds  # N-14: not "full" after an earlier cancel


async def test_a_declined_refund_changes_neither_status_nor_sum(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.refund(payment__amount=400, payment__currency="KRW")
        await world.work()
        await sale.fault("cancel", "code", code="2026")
        await sale.refund(payment__amount=100, payment__currency="KRW")
        await world.work()
        assert ("partially refunded", 600) == await payment(sale)
        body = world.merchant.received[-1].body
        assert ("partially refunded", "decline", "20504") == (
            body["payment"]["status"],
            body["operation"]["status"],
            body["operation"]["code"],
        )


# --- who may not ---


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"payment__amount": 1001, "payment__currency": "KRW"}, "3283"),
        ({"payment__amount": 10_000_000_000_000, "payment__currency": "KRW"}, "3283"),
        ({"payment__amount": 500, "payment__currency": "USD"}, "3284"),
        ({"payment__amount": 500, "payment__currency": "ZZZ"}, "3284"),
    ],
)
async def test_a_refund_against_the_rules_is_declined_with_a_callback(
    open_world: OpenWorld, changes: dict[str, Any], code: str
):
    async with open_world() as world:
        sale = await world.paid_sale()
        answer = await sale.refund(**changes)
        assert (200, "success") == (answer.status, answer.body["status"])
        await world.work()
        body = world.merchant.received[-1].body
        assert ("refund", "decline", code) == tuple(
            body["operation"][name] for name in ("type", "status", "code")
        )
        assert (("success", 1000), 0) == (await payment(sale), await cancelled(sale))


async def test_what_is_not_paid_or_gone_already_cannot_be_refunded(open_world: OpenWorld):
    async with open_world() as world:
        waiting, declined, paid = await world.sale(), await world.sale(), await world.paid_sale()
        await declined.pay("cancel")
        await paid.refund()
        await world.work()
        for sale in (waiting, declined, paid):
            before = await payment(sale)
            await sale.refund(payment__amount=100, payment__currency="KRW")
            await sale.refund(payment__description="once more")
            await world.work()
            assert ["3060", "3060"] == [code for _, _, code in (await refunds(sale))[-2:]]
            assert before == await payment(sale)


async def test_a_payment_in_error_cannot_be_refunded(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.sale(payment__amount=-5)
        answer = await sale.refund()
        assert 200 == answer.status
        assert "3060" == (await sale.callbacks())[-1]["operation"]["code"]


@pytest.mark.parametrize("amount", [0, -1, -(2**63), 1.5, 100.0, "100", True, [], {}, 10_000_000_000_001])
async def test_refund_amount_must_be_positive(open_world: OpenWorld, amount: Any):
    async with open_world() as world:
        sale = await world.paid_sale()
        before = await world.fingerprint()
        answer = await sale.refund(payment__amount=amount, payment__currency="KRW")
        assert (400, "502") == (answer.status, answer.body["code"])
        assert "payment.amount" == answer.body["errors"][0]["field"]
        assert before == await world.fingerprint()


@pytest.mark.parametrize(
    "changes, code, http",
    [
        ({"payment__amount": 100}, "3287", 400),
        ({"payment__currency": "KRW"}, "3286", 400),
        ({"payment__description": None}, "2004", 400),
        ({"payment__description": 5}, "502", 400),
        ({"payment__description": "x" * 256}, "502", 400),
        ({"payment__merchant_refund_id": 5}, "502", 400),
        ({"general__merchant_callback_url": "ftp://shop.example"}, "502", 400),
        ({"callback": {"delay": 601}}, "502", 400),
        ({"general__payment_id": "nobody"}, "3061", 400),
    ],
    ids=str,
)
async def test_a_refund_request_of_wrong_shape_is_refused_at_once(
    open_world: OpenWorld, changes: dict[str, Any], code: str, http: int
):
    async with open_world() as world:
        sale = await world.paid_sale()
        before = await world.fingerprint()
        answer = await sale.refund(**changes)
        assert (http, code) == (answer.status, answer.body["code"])
        assert before == await world.fingerprint()


async def test_a_partial_refund_is_declined_here_where_the_approval_forbids_it(open_world: OpenWorld):
    """CcPartCl 0 (N-15): NICEPAY is not even asked; the whole may go back."""
    async with open_world() as world:
        sale = await world.sale()
        await sale.pay({"outcome": "card", "cc_part_cl": "0"})
        await sale.refund(payment__amount=999, payment__currency="KRW")
        await world.work()
        assert [(999, "decline", "3609")] == await refunds(sale)
        assert 0 == await world.simulator.calls(await sale.moid(), "cancel")
        await sale.refund(payment__amount=1000, payment__currency="KRW")
        await world.work()
        assert ("refunded", 0) == await payment(sale)


# --- two at once ---


async def test_two_simultaneous_refunds_never_exceed_the_payment(open_world: OpenWorld):
    """Two refunds of 60 % at the same moment over two processes: exactly one is accepted (hyperswitch #13182)."""
    async with open_world() as one, open_world() as two:
        for round_number in range(20):
            sale = await one.paid_sale()
            body = [
                one.refund_body(
                    sale.payment_id, payment__amount=600, payment__currency="KRW", payment__description=text
                )
                for text in "ab"
            ]
            worlds = (one, two) if round_number % 2 else (one, one)
            await asyncio.gather(*(w.post(PATH, b) for w, b in zip(worlds, body, strict=True)))
            await one.work()
            found = await refunds(sale)
            assert [(600, "decline", "3283"), (600, "success", "0")] == sorted(found)
            assert (600, ("partially refunded", 400)) == (await cancelled(sale), await payment(sale))


async def test_twenty_simultaneous_refunds_never_exceed_the_payment(open_world: OpenWorld):
    async with open_world() as one, open_world() as two:
        for amount in (60, 300, 1000):
            sale = await one.paid_sale()
            bodies = [
                one.refund_body(
                    sale.payment_id,
                    payment__amount=amount,
                    payment__currency="KRW",
                    payment__description=str(n),
                )
                for n in range(20)
            ]
            await asyncio.gather(*((one, two)[n % 2].post(PATH, body) for n, body in enumerate(bodies)))
            await asyncio.gather(one.work(), two.work())
            await one.pass_time(120, step_s=60)
            fit = 1000 // amount
            results = Counter((status, code) for _, status, code in await refunds(sale))
            assert {("success", "0"): fit, ("decline", "3283"): 20 - fit} == dict(results)
            assert (fit * amount, 1000 - fit * amount) == (await cancelled(sale), (await payment(sale))[1])


async def test_two_whole_refunds_at_once_the_second_finds_the_payment_held(open_world: OpenWorld):
    """E-41: without an amount, while another refund holds everything, 2147."""
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.refund(payment__description="a")
        await sale.refund(payment__description="b")
        await world.work()
        assert [(1000, "success", "0"), (1000, "decline", "2147")] == await refunds(sale)


async def test_a_declined_refund_gives_its_reservation_back(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "code", code="2026")
        await sale.refund()
        await world.work()
        await sale.refund(payment__description="again")
        await world.work()
        assert [(1000, "decline", "20504"), (1000, "success", "0")] == await refunds(sale)


async def test_refunds_of_one_payment_go_to_the_provider_one_after_another(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "in_progress", after_s=100)
        await sale.refund(payment__amount=100, payment__currency="KRW")
        await world.work()
        await sale.refund(payment__amount=200, payment__currency="KRW")
        await world.work()
        assert [(100, "processing", "29999"), (200, "processing", "9999")] == await refunds(sale)
        assert 1 == await world.simulator.calls(await sale.moid(), "cancel")


# --- sent again by the merchant ---


async def test_an_identical_refund_request_is_answered_as_the_first_one(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        first = await sale.refund(payment__amount=100, payment__currency="KRW")
        assert first.raw == (await sale.refund(payment__amount=100, payment__currency="KRW")).raw
        await world.work()
        world.clock.advance(599)
        assert first.raw == (await sale.refund(payment__amount=100, payment__currency="KRW")).raw
        world.clock.advance(1)
        third = await sale.refund(payment__amount=100, payment__currency="KRW")
        assert first.body["request_id"] != third.body["request_id"]
        await world.work()
        assert [(100, "success", "0")] * 2 == await refunds(sale)


async def test_the_resend_window_is_the_projects_own(open_world: OpenWorld):
    async with open_world(refund_resend_window_s=10) as world:
        sale = await world.paid_sale()
        for _ in range(2):
            await sale.refund(payment__amount=100, payment__currency="KRW")
            await world.work()
            world.clock.advance(10)
        assert 2 == len(await refunds(sale))


async def test_an_unfinished_refund_is_never_doubled_however_late_the_resend(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "in_progress", after_s=10**6)
        await sale.refund(payment__amount=100, payment__currency="KRW")
        await world.work()
        world.clock.advance(3600)
        await sale.refund(payment__amount=100, payment__currency="KRW")
        assert 1 == len(await refunds(sale))


async def test_the_same_request_with_other_bytes_is_another_refund(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        body = world.refund_body(sale.payment_id, payment__amount=100, payment__currency="KRW")
        raw = signed_bytes(PATH, body)
        from tests.world import ask

        await ask(world.app, "POST", PATH, raw)
        await ask(world.app, "POST", PATH, raw + b"\n")
        assert 2 == len(await refunds(sale))


async def test_a_merchants_refund_id_makes_a_refund_happen_once(open_world: OpenWorld):
    async with open_world() as world:
        sale, other = await world.paid_sale(), await world.paid_sale()
        named = {"payment__merchant_refund_id": "R-1", "payment__amount": 100, "payment__currency": "KRW"}
        first = await sale.refund(**named)
        await world.work()
        world.clock.advance(10**6)
        assert first.raw == (await sale.refund(**named)).raw
        await sale.refund(**{**named, "payment__amount": 200})
        await other.refund(**named)
        await world.work()
        assert [(100, "success", "0"), (200, "decline", "3230")] == await refunds(sale)
        assert [(100, "decline", "3230")] == await refunds(other)


async def test_one_refund_id_on_two_payments_at_once_is_taken_once(open_world: OpenWorld):
    async with open_world() as one, open_world() as two:
        for number in range(5):
            sales = [await one.paid_sale(), await one.paid_sale()]
            named = {"payment__merchant_refund_id": f"R-{number}"}
            bodies = [one.refund_body(sale.payment_id, **named) for sale in sales]
            answers = await asyncio.gather(one.post(PATH, bodies[0]), two.post(PATH, bodies[1]))
            assert [200, 200] == [answer.status for answer in answers]
            await one.work()
            codes = [code for sale in sales for _, _, code in await refunds(sale)]
            assert ["0", "3230"] == sorted(codes)


# --- the provider's answer is lost ---

LOST_ANSWERS: list[dict[str, Any]] = [
    {"kind": "hang_after", "seconds": 60},
    {"kind": "reset", "committed": True},
    {"kind": "http_500", "committed": True},
    {"kind": "garbage", "style": "bytes", "committed": True},
    {"kind": "wrong_signature"},
    {"kind": "code", "code": "2056", "committed": True},
    {"kind": "code", "code": "2002", "committed": True},
    {"kind": "code", "code": "2015", "committed": True},
    {"kind": "code", "code": "2212", "committed": True},
]


def limits_for(fault: dict[str, Any]) -> dict[str, Any]:
    return QUICK if fault["kind"].startswith("hang") else {}


@pytest.mark.parametrize("fault", LOST_ANSWERS, ids=lambda fault: "-".join(map(str, fault.values())))
async def test_a_whole_refund_whose_answer_was_lost_is_settled_by_asking(
    open_world: OpenWorld, fault: dict[str, Any]
):
    async with open_world(account=limits_for(fault)) as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", **fault)
        await sale.refund()
        await world.work()
        assert (("refunded", 0), 1000) == (await payment(sale), await cancelled(sale))
        assert 1 == await world.simulator.calls(await sale.moid(), "cancel")


@pytest.mark.parametrize("fault", LOST_ANSWERS, ids=lambda fault: "-".join(map(str, fault.values())))
async def test_a_partial_refund_whose_answer_was_lost_keeps_its_reservation(
    open_world: OpenWorld, fault: dict[str, Any]
):
    """An inquiry tells nothing about a part, and a second cancel would return the money twice (N-12)."""
    async with open_world(account=limits_for(fault)) as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", **fault)
        await sale.refund(payment__amount=300, payment__currency="KRW")
        await world.work()
        assert [(300, "processing", "29999")] == await refunds(sale)
        assert ("success", 1000) == await payment(sale)
        await sale.refund(payment__amount=701, payment__currency="KRW")
        assert (701, "decline", "3283") == (await refunds(sale))[-1]
        if fault.get("code") != "2056":
            await world.pass_time(900, step_s=60)
            assert (1, 300) == (
                await world.simulator.calls(await sale.moid(), "cancel"),
                await cancelled(sale),
            )
            assert [(300, "processing", "29999")] == (await refunds(sale))[:1]


async def test_a_whole_refund_that_never_arrived_is_sent_again_after_a_minute(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "reset")
        await sale.refund()
        await world.work()
        assert [(1000, "processing", "29999")] == await refunds(sale)
        world.clock.advance(59)
        await world.work()
        assert 1 == await world.simulator.calls(await sale.moid(), "cancel")
        world.clock.advance(1)
        await world.work()
        assert ("refunded", 0) == await payment(sale)


async def test_a_whole_refund_is_repeated_once_a_minute_and_ten_times_at_most(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "reset", times="always")
        await sale.refund()
        await world.work()
        calls = []
        for _ in range(14):
            world.clock.advance(60)
            await world.work()
            calls.append(await world.simulator.calls(await sale.moid(), "cancel"))
        assert [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11, 11, 11, 11] == calls
        assert [(1000, "processing", "29999")] == await refunds(sale)
        await world.simulator.control("DELETE", "faults")


async def test_a_partial_refund_is_repeated_once_where_the_provider_asks_for_it(open_world: OpenWorld):
    """2056: the issuer did not answer NICEPAY, which asks for the same cancel once more."""
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "code", code="2056", times=3)
        await sale.refund(payment__amount=300, payment__currency="KRW")
        await world.pass_time(600, step_s=30)
        assert 2 == await world.simulator.calls(await sale.moid(), "cancel")
        assert [(300, "processing", "29999")] == await refunds(sale)
        await world.simulator.control("DELETE", "faults")


async def test_already_cancelled_on_the_first_try_is_no_success_of_ours(open_world: OpenWorld):
    """2013: somebody returned the money elsewhere, on NICEPAY's own pages for example."""
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "code", code="2013")
        await sale.refund()
        await world.work()
        assert [(1000, "decline", "20701")] == await refunds(sale)
        assert "refunded outside the platform" == (await sale.row())["flag"]


async def test_already_cancelled_on_a_repetition_means_that_the_first_try_worked(open_world: OpenWorld):
    async with open_world(account=QUICK) as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "hang_after", seconds=60)
        await sale.fault("inquiry", "override", fields={"Status": "0"})  # the first look sees it too early
        await sale.fault("inquiry", "override", fields={"Status": "0"})
        await sale.refund()
        await world.work()
        assert [(1000, "processing", "29999")] == await refunds(sale)
        world.clock.advance(60)
        await world.work()
        assert (("refunded", 0), 1000) == (await payment(sale), await cancelled(sale))
        assert 2 == await world.simulator.calls(await sale.moid(), "cancel")


@pytest.mark.parametrize("settles, expected", [("done", "success"), ("failed", "processing")])
async def test_a_cancel_in_progress_is_waited_for(open_world: OpenWorld, settles: str, expected: str):
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "in_progress", settles=settles, after_s=30)
        await sale.refund()
        await world.work()
        await world.pass_time(62, step_s=31)
        statuses = {status for _, status, _ in await refunds(sale)}
        assert statuses <= {expected, "success"}
        await world.pass_time(600, step_s=60)
        assert (("refunded", 0), 1000) == (await payment(sale), await cancelled(sale))


@pytest.mark.parametrize("settles, expected", [("done", "success"), ("failed", "decline")])
async def test_a_repetition_that_is_refused_says_nothing_of_the_cancel_in_progress(
    open_world: OpenWorld, settles: str, expected: str
):
    """Found by simulation: the refusal of the second cancel was booked, then the first one was carried out."""
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "in_progress", settles=settles, after_s=600)
        await sale.refund()
        await world.work()
        await sale.fault("cancel", "code", code="2026")
        await world.pass_time(120, step_s=60)
        assert 2 == await world.simulator.calls(await sale.moid(), "cancel")
        assert [(1000, "processing", "29999")] == await refunds(sale)
        await world.pass_time(4200, step_s=300)
        assert [expected] == [status for _, status, _ in await refunds(sale)]
        assert (1000 if settles == "done" else 0) == await cancelled(sale)
        assert 2 == await world.simulator.calls(await sale.moid(), "cancel")


async def test_a_refund_that_never_left_is_sent_when_the_provider_can_be_reached(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        await set_account(world, cancel_url="http://127.0.0.1:9/webapi/cancel_process.jsp")
        await sale.refund()
        await world.pass_time(60, step_s=5)
        assert [(1000, "processing", "9999")] == await refunds(sale)
        await set_account(world, cancel_url=f"{world.simulator.url}/webapi/cancel_process.jsp")
        world.clock.advance(5)
        await world.work()
        assert ("refunded", 0) == await payment(sale)


async def test_what_stays_unknown_for_a_day_is_flagged_and_never_called_a_decline(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "reset", committed=True)
        await sale.refund(payment__amount=300, payment__currency="KRW")
        await world.work()
        await world.pass_time(86_400 + 3600, step_s=1800)
        assert [(300, "processing", "29999")] == await refunds(sale)
        assert "reconciliation needed" == (await sale.row())["flag"]


@pytest.mark.parametrize("done", [True, False])
async def test_a_refused_repetition_of_a_part_is_no_decline_of_it(open_world: OpenWorld, done: bool):
    """NICEPAY asks for the cancel again (2056) and has done it all the same: the second one finds too little left. An inquiry
    does not tell of a part (N-11); the remainder after a later refund does."""
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "code", code="2056", committed=done)
        await sale.refund(payment__amount=700, payment__currency="KRW")
        await world.work()
        if not done:
            await sale.fault("cancel", "code", code="2026")
        await world.pass_time(7200, step_s=300)
        assert 2 == await world.simulator.calls(await sale.moid(), "cancel")
        assert [(700, "processing", "29999")] == await refunds(sale)
        await sale.refund(payment__amount=100, payment__currency="KRW")
        await world.pass_time(120, step_s=60)
        expected = (700, "success", "0") if done else (700, "decline", "20504")
        assert [expected, (100, "success", "0")] == await refunds(sale)
        assert (800 if done else 100) == await cancelled(sale)


async def test_a_part_that_was_certainly_not_done_is_declined_when_its_repetition_is_refused(
    open_world: OpenWorld,
):
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "reset")
        await sale.refund(payment__amount=300, payment__currency="KRW")
        await world.work()
        await sale.refund(payment__amount=200, payment__currency="KRW")
        while "success" != (await refunds(sale))[1][1]:
            await world.pass_time(60, step_s=60)
        await sale.fault("cancel", "code", code="2026")
        await world.pass_time(180, step_s=60)
        assert [(300, "decline", "20504"), (200, "success", "0")] == await refunds(sale)


@pytest.mark.parametrize("done", [True, False])
async def test_the_remainder_after_a_later_refund_tells_of_the_one_before(open_world: OpenWorld, done: bool):
    """N-12: nothing else that NICEPAY says tells of a partial cancel. One that was not done is sent again, and only then."""
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "reset", committed=done)
        await sale.refund(payment__amount=300, payment__currency="KRW")
        await world.work()
        await sale.refund(payment__amount=200, payment__currency="KRW")
        await world.pass_time(3300, step_s=60)
        assert [(300, "processing", "29999"), (200, "processing", "9999")] == await refunds(sale)
        assert 1 == await world.simulator.calls(await sale.moid(), "cancel")
        await world.pass_time(600, step_s=60)
        assert [(300, "success", "0"), (200, "success", "0")] == await refunds(sale)
        assert (("partially refunded", 500), 500) == (await payment(sale), await cancelled(sale))
        assert (2 if done else 3) == await world.simulator.calls(await sale.moid(), "cancel")


@pytest.mark.parametrize("remainder", ["000000000123", "", "?"])
async def test_a_remainder_that_fits_neither_way_settles_nothing(open_world: OpenWorld, remainder: str):
    """Somebody has cancelled a part in NICEPAY's own pages, or the answer does not tell."""
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "reset")
        await sale.refund(payment__amount=300, payment__currency="KRW")
        await world.work()
        await sale.fault("cancel", "override", fields={"RemainAmt": remainder})
        await sale.refund(payment__amount=200, payment__currency="KRW")
        await world.pass_time(4200, step_s=60)
        assert [(300, "processing", "29999"), (200, "success", "0")] == await refunds(sale)
        assert 2 == await world.simulator.calls(await sale.moid(), "cancel")


async def test_a_clock_set_forward_does_not_send_the_next_refund_past_an_unknown_one(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "reset")
        await sale.refund(payment__amount=300, payment__currency="KRW")
        await world.work()
        await sale.refund(payment__amount=200, payment__currency="KRW")
        await world.pass_time(4000, step_s=4000)
        assert 1 == await world.simulator.calls(await sale.moid(), "cancel")


async def test_a_process_that_dies_during_a_cancel_leaves_it_to_the_next(open_world: OpenWorld):
    async with open_world() as frozen, open_world() as worker:
        sale = await frozen.paid_sale()
        await sale.fault("cancel", "hang_after", seconds=600)
        await sale.refund()
        working = asyncio.create_task(frozen.work())
        await sale.has_moved("cancelled")
        frozen.clock.advance(121)
        await worker.work()
        assert ("refunded", 0) == await payment(sale)
        await frozen.simulator.lift_faults()
        await working
        assert (("refunded", 0), 1000) == (await payment(sale), await cancelled(sale))
        assert 1 == await frozen.simulator.calls(await sale.moid(), "cancel")


async def test_refunds_find_their_payment_whatever_the_case_of_its_id(open_world: OpenWorld):
    async with open_world() as world:
        sale = await world.paid_sale(general__payment_id="Order_314")
        general = {"payment_id": "oRDER_314", "project_id": PROJECT_ID}
        answer = await world.post(PATH, {"general": general, "payment": {"description": "x"}})
        await world.work()
        assert (200, ("refunded", 0)) == (answer.status, await payment(sale))


async def set_account(world: World, **settings: Any) -> None:
    async with world.platform.database.transaction() as tx:
        await tx.execute("UPDATE account SET settings = settings || $1", settings)
    world.platform._projects.clear()
