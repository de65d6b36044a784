"""The page of one payment on a whole platform: refunds, resends and the time line, against the simulated PG."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests import books
from tests.dashboard import OTHER_SHOP, SHOP, Browser, Office, open_office
from tests.world import MERCHANT_KEY, SECRET, OpenWorld, Sale, World

from wongate.domain.rights import Right, Role
from wongate.flows.resend import Resending
from wongate.web.dashboard import Dashboard

TABLE = "/dashboard/payments"


@asynccontextmanager
async def staffed(open_world: OpenWorld, **settings: Any) -> AsyncIterator[tuple[World, Office]]:
    async with open_world(**settings) as world:
        world.platform.phones = world.clock
        board = Dashboard(world.platform, sandbox=False)
        yield world, Office(world.platform, world.clock, world.app, board)  # type: ignore[arg-type]


async def place_of(sale: Sale) -> str:
    row = await sale.row()
    return f"{TABLE}/{row['project_id']}/{row['payment_no']}"


async def give_back(office: Office, browser: Browser, place: str, amount: str, **more: str) -> Any:
    form = {"amount": amount, "reason": "손님이 취소 <b>", "form_key": "one", **more}
    return await browser.post(f"{place}/refund", form)


async def test_400_of_1000_won_go_back_the_merchant_is_told_and_the_time_line_grows(
    open_world: OpenWorld,
) -> None:
    async with staffed(open_world) as (world, office):
        sale = await world.paid_sale()
        place = await place_of(sale)
        browser = await office.enter(await office.member(Role.OPERATIONS))
        before = (await browser.get(place)).text.count("<li class=")
        assert f"{place}/refund" in (await browser.get(place)).text

        answer = await browser.post(
            f"{place}/refund/check", {"amount": "400", "reason": "손님이 취소 <b>", "form_key": "one"}
        )
        assert 200 == answer.status
        assert ["₩400", "₩600"] == re.findall(r"<dd>(?:<strong>)?(₩\d+)", answer.text)
        assert 0 == len([row for row in await sale.operations() if row["kind"] == "refund"])

        assert "refund-begun" in (await give_back(office, browser, place, "400")).location
        await world.work()
        row = await sale.row()
        assert (400, 0, "partially refunded") == (row["refunded"], row["reserved"], row["status"])
        told = (await sale.callbacks())[-1]
        assert ("refund", "success", 600) == (
            told["operation"]["type"],
            told["operation"]["status"],
            told["payment"]["sum"]["amount"],
        )
        assert "손님이 취소 <b>" == told["payment"]["description"]
        page = (await browser.get(f"{place}/live")).text
        assert before < page.count("<li class=")
        assert "refund requested" in page
        assert "손님이 취소 &lt;b&gt;" in page
        assert re.search(r'Request to refund <span class="quiet">Dashboard<', page)
        refund = next(row for row in await sale.operations() if row["kind"] == "refund")
        assert f"<code>{refund['operation_id']}</code>" in page
        assert f"<code>{refund['request_id']}</code>" in page
        assert "₩600" in page
        cancels = (await sale.books())["cancels"]
        assert [400] == [cancel["amount"] for cancel in cancels], cancels


async def test_a_refund_form_sent_twice_gives_back_once(open_world: OpenWorld) -> None:
    async with staffed(open_world) as (world, office):
        sale = await world.paid_sale()
        place = await place_of(sale)
        browser = await office.enter(await office.member(Role.OPERATIONS))
        for _ in range(2):
            await give_back(office, browser, place, "400")
        await world.work()
        assert 400 == (await sale.row())["refunded"]
        await give_back(office, browser, place, "600", form_key="two")
        await world.work()
        assert "refunded" == (await sale.row())["status"]


@pytest.mark.parametrize("typed", ["400", " 400 ", "4 00", "400원", "400 원", "0,400"])
async def test_what_is_asked_about_is_what_goes_back(open_world: OpenWorld, typed: str) -> None:
    """The page asked about 0 won where "400원" then gave 400 back."""
    async with staffed(open_world) as (world, office):
        sale = await world.paid_sale()
        place = await place_of(sale)
        browser = await office.enter(await office.member(Role.OPERATIONS))
        asked = await browser.post(f"{place}/refund/check", {"amount": typed, "reason": "r", "form_key": "k"})
        assert ["₩400", "₩600"] == re.findall(r"<dd>(?:<strong>)?(₩\d+)", asked.text)
        assert "400" == asked.field("amount")
        await give_back(office, browser, place, asked.field("amount"))
        await world.work()
        assert 400 == (await sale.row())["refunded"]


@pytest.mark.parametrize("amount", ["1001", "0", "-5", "1.5", "", "ten", "٣", "9" * 30])
async def test_an_amount_that_cannot_be_refunded_is_refused_beside_its_field(
    open_world: OpenWorld, amount: str
) -> None:
    async with staffed(open_world) as (world, office):
        sale = await world.paid_sale()
        place = await place_of(sale)
        browser = await office.enter(await office.member(Role.OPERATIONS))
        for path in ("refund/check", "refund"):
            answer = await browser.post(f"{place}/{path}", {"amount": amount, "reason": "r", "form_key": "k"})
            assert 400 == answer.status
            assert 'name="amount" type="text" value="' in answer.text
            assert 'aria-invalid="true"' in answer.text
        assert 1 == len(await sale.operations())
        assert "refund requested" not in await office.deeds()


async def test_a_refund_wants_a_second_factor_of_the_last_five_minutes(open_world: OpenWorld) -> None:
    async with staffed(open_world) as (world, office):
        sale = await world.paid_sale()
        place = await place_of(sale)
        member = await office.member(Role.OPERATIONS)
        browser = await office.enter(member)
        world.clock.advance(301)
        answer = await give_back(office, browser, place, "400")
        assert 403 == answer.status
        assert "400" == answer.field("amount")
        await world.work()
        assert 0 == (await sale.row())["refunded"]
        assert (
            "refund-begun"
            in (await give_back(office, browser, place, "400", second_factor=office.code(member))).location
        )


async def test_the_project_may_switch_dashboard_refunds_off(open_world: OpenWorld) -> None:
    async with staffed(open_world, dashboard_refunds=False) as (world, office):
        sale = await world.paid_sale()
        place = await place_of(sale)
        browser = await office.enter(await office.member(Role.OPERATIONS))
        assert f'href="{place}/refund"' not in (await browser.get(place)).text
        assert 400 == (await give_back(office, browser, place, "400")).status
        assert 1 == len(await sale.operations())


async def test_support_sees_the_payment_and_no_refund_and_no_resend(open_world: OpenWorld) -> None:
    async with staffed(open_world) as (world, office):
        sale = await world.paid_sale()
        place = await place_of(sale)
        browser = await office.enter(await office.member(Role.SUPPORT))
        text = (await browser.get(place)).text
        assert sale.payment_id in text
        assert f"{place}/refund" not in text
        assert f"{place}/resend" not in text
        assert 403 == (await give_back(office, browser, place, "400")).status
        assert 403 == (await browser.post(f"{place}/resend", {"operation_id": "1"})).status
        assert 403 == (await browser.post(f"{TABLE}/resend", {"query": "", "state": "delivered"})).status


@pytest.mark.parametrize("right", [Right.REFUNDS, Right.PROJECT_SETTINGS])
async def test_each_of_two_rights_sends_callbacks_again_one_and_a_range(
    open_world: OpenWorld, right: Right
) -> None:
    async with staffed(open_world) as (world, office):
        sale = await world.paid_sale()
        place = await place_of(sale)
        browser = await office.enter(await office.member(Role.SUPPORT, rights_added=frozenset({right})))
        page = (await browser.get(place)).text
        assert f'action="{place}/resend"' in page
        assert (right is Right.REFUNDS) == (f'href="{place}/refund"' in page)
        assert f'href="{TABLE}/resend"' in (await browser.get(TABLE)).text
        row = (await world.rows("SELECT * FROM callback ORDER BY callback_id DESC LIMIT 1"))[0]
        key = {"operation_id": str(row["operation_id"]), "callback_id": str(row["callback_id"])}
        assert "callback-begun" in (await browser.post(f"{place}/resend", key)).location
        form = {"query": "", "state": "delivered"}
        assert "resend-begun" in (await browser.post(f"{TABLE}/resend", form)).location


async def test_a_range_with_nothing_ticked_is_asked_for_again(open_world: OpenWorld) -> None:
    async with staffed(open_world) as (world, office):
        await world.paid_sale()
        browser = await office.enter(
            await office.member(Role.SUPPORT, rights_added=frozenset({Right.REFUNDS}))
        )
        form = {"query": "status=success"}
        answer = await browser.post(f"{TABLE}/resend", form)
        assert 400 == answer.status
        assert "Please choose which callbacks are sent again." in answer.text
        assert 'value="status=success"' in answer.text
        assert 0 == await world.value("SELECT count(*) FROM callback WHERE by_hand_at IS NOT NULL")


async def test_a_callback_sent_again_is_the_same_bytes_and_a_marked_attempt(open_world: OpenWorld) -> None:
    async with staffed(open_world) as (world, office):
        sale = await world.paid_sale()
        place = await place_of(sale)
        browser = await office.enter(await office.member(Role.OPERATIONS))
        row = (await world.rows("SELECT * FROM callback ORDER BY callback_id DESC LIMIT 1"))[0]
        received = len(world.merchant.received)
        key = {"operation_id": str(row["operation_id"]), "callback_id": str(row["callback_id"])}
        assert "callback-begun" in (await browser.post(f"{place}/resend", key)).location

        resending = Resending(world.platform)
        assert 1 == await resending.tick()
        await resending.drain()
        assert 0 == await resending.tick()
        assert [row["body"].encode()] == [item.raw for item in world.merchant.received[received:]]
        tries = await world.rows(
            "SELECT by_hand FROM attempt WHERE callback_id = $1 ORDER BY attempt", row["callback_id"]
        )
        assert [False, True] == [tried["by_hand"] for tried in tries]
        page = (await browser.get(place)).text
        assert "Callback sent by hand" in page
        assert "callback resent" in page
        assert 404 == (await browser.post(f"{place}/resend", {**key, "callback_id": "5"})).status


async def test_a_failed_send_by_hand_leaves_the_schedule_alone_and_a_delivered_one_ends_it(
    open_world: OpenWorld,
) -> None:
    async with staffed(open_world) as (world, office):
        world.merchant.answers["/callbacks"] = [500] * 3
        sale = await world.sale()
        await world.work()
        browser = await office.enter(await office.member(Role.OPERATIONS))
        place = await place_of(sale)
        assert "The merchant&#39;s server does not take the callback" in (await browser.get(place)).text
        before = (await world.rows("SELECT * FROM callback"))[0]
        key = {"operation_id": str(before["operation_id"]), "callback_id": str(before["callback_id"])}
        resending = Resending(world.platform)
        for state, due in (
            ("waiting", before["due_at"]),
            ("waiting", before["due_at"]),
            ("delivered", world.clock.now()),
        ):
            await browser.post(f"{place}/resend", key)
            await resending.tick()
            await resending.drain()
            after = (await world.rows("SELECT * FROM callback"))[0]
            assert (state, due, before["failures"]) == (after["state"], after["due_at"], after["failures"])
        assert "does not take the callback" not in (await browser.get(place)).text


async def test_a_filtered_range_is_sent_again_by_state(open_world: OpenWorld) -> None:
    async with staffed(open_world) as (world, office):
        first, second = await world.paid_sale(), await world.paid_sale(customer__id="other")
        browser = await office.enter(await office.member(Role.OPERATIONS))
        assert "delivered: 2" in (await browser.get(f"{TABLE}/resend?customer_id=customer1")).text
        received = len(world.merchant.received)
        form = {"query": "customer_id=customer1", "state": "delivered"}
        assert "resend-begun" in (await browser.post(f"{TABLE}/resend", form)).location
        resending = Resending(world.platform)
        await resending.tick()
        await resending.drain()
        again = [item.body["payment"]["id"] for item in world.merchant.received[received:]]
        assert [first.payment_id] * 2 == again
        assert second.payment_id not in again
        assert "resend-none" in (await browser.post(f"{TABLE}/resend", {**form, "state": "failed"})).location
        assert 1 == (await office.deeds()).count("callbacks resent")


async def test_two_workers_send_what_is_asked_for_once(open_world: OpenWorld) -> None:
    async with staffed(open_world) as (world, office):
        await world.paid_sale()
        browser = await office.enter(await office.member(Role.OPERATIONS))
        received = len(world.merchant.received)
        await browser.post(f"{TABLE}/resend", {"query": "", "state": "delivered"})
        workers = [Resending(world.platform), Resending(world.platform)]
        assert 2 == sum([await worker.tick() for worker in workers])
        for worker in workers:
            await worker.drain()
        assert 2 == len(world.merchant.received) - received


async def test_an_open_refund_is_booked_by_hand_as_the_pg_shows_it(open_world: OpenWorld) -> None:
    async with staffed(open_world, audited=False) as (world, office):
        sale = await world.paid_sale()
        place = await place_of(sale)
        browser = await office.enter(await office.member(Role.OPERATIONS))
        await sale.fault("cancel", "reset", times="always")
        await give_back(office, browser, place, "400")
        await world.work()
        refund = (await sale.operations())[-1]
        assert "asking" == refund["stage"], dict(refund)
        assert "The PG has not said whether a refund was done" in (await browser.get(place)).text

        form = {**shown_form((await browser.get(place)).text), "outcome": "success", "reference": "TID77"}
        assert str(refund["operation_id"]) == form["operation_id"]
        assert "refund-settled" in (await browser.post(f"{place}/settle", form)).location
        row, refund = await sale.row(), (await sale.operations())[-1]
        assert (400, 0, "partially refunded") == (row["refunded"], row["reserved"], row["status"])
        assert ("success", "TID77") == (refund["status"], refund["reference"])
        assert (
            "settled-before"
            in (await browser.post(f"{place}/settle", {**form, "outcome": "decline"})).location
        )
        assert 400 == (await sale.row())["refunded"]
        assert 400 == (await browser.post(f"{place}/settle", {**form, "outcome": "maybe"})).status


async def test_a_refund_booked_as_not_done_frees_its_money(open_world: OpenWorld) -> None:
    async with staffed(open_world, audited=False) as (world, office):
        sale = await world.paid_sale()
        await sale.fault("cancel", "reset", times="always")
        place = await place_of(sale)
        browser = await office.enter(await office.member(Role.OPERATIONS))
        await give_back(office, browser, place, "400")
        await world.work()
        form = {**shown_form((await browser.get(place)).text), "outcome": "decline"}
        assert "refund-settled" in (await browser.post(f"{place}/settle", form)).location
        row = await sale.row()
        assert (0, 0, "success") == (row["refunded"], row["reserved"], row["status"])


async def test_a_verdict_on_a_refund_that_was_sent_again_meanwhile_is_refused(open_world: OpenWorld) -> None:
    """Somebody sees "not done" in the PG's pages, the platform sends the cancel again, and that one is carried out."""
    async with staffed(open_world, audited=False) as (world, office):
        sale = await world.paid_sale()
        place = await place_of(sale)
        browser = await office.enter(await office.member(Role.OPERATIONS))
        await sale.fault("cancel", "code", code="2056")
        await give_back(office, browser, place, "400")
        await world.work()
        seen = {**shown_form((await browser.get(place)).text), "outcome": "decline"}
        await sale.fault("cancel", "reset", committed=True)
        await world.pass_time(120, step_s=60)
        assert 400 == (await sale.books())["cancelled"]

        answer = await browser.post(f"{place}/settle", seen)
        assert (
            "This refund was sent to the PG again after you had looked."
            in (await browser.get(answer.location)).text
        )
        row = await sale.row()
        assert (0, 400, "success") == (row["refunded"], row["reserved"], row["status"])
        looked_again = {**shown_form((await browser.get(place)).text), "outcome": "success"}
        assert "refund-settled" in (await browser.post(f"{place}/settle", looked_again)).location
        row = await sale.row()
        assert (400, 0, "partially refunded") == (row["refunded"], row["reserved"], row["status"])


async def test_a_verdict_that_names_no_attempt_books_nothing(open_world: OpenWorld) -> None:
    async with staffed(open_world, audited=False) as (world, office):
        sale = await world.paid_sale()
        place = await place_of(sale)
        browser = await office.enter(await office.member(Role.OPERATIONS))
        await sale.fault("cancel", "reset", times="always")
        await give_back(office, browser, place, "400")
        await world.work()
        form = {**shown_form((await browser.get(place)).text), "outcome": "success"}
        for seq in ("", "x", "-1", "99"):
            answer = await browser.post(f"{place}/settle", {**form, "seq": seq})
            assert "settled-stale" in answer.location
        assert 0 == (await sale.row())["refunded"]


def shown_form(page: str) -> dict[str, str]:
    """What the page's form about the open refund carries along."""
    form = page[page.index('/settle"') :]
    return dict(re.findall(r'name="(operation_id|seq)" value="(\d+)"', form[: form.index("</form>")]))


async def test_the_page_shows_no_secret(open_world: OpenWorld) -> None:
    async with staffed(open_world) as (world, office):
        sale = await world.paid_sale()
        browser = await office.enter(await office.member(Role.MERCHANT_ADMIN))
        text = (await browser.get(await place_of(sale))).text
        operation = (await sale.operations())[0]
        for secret in (MERCHANT_KEY, SECRET, operation["return_key"]):
            assert secret not in text
        assert "Approval" in text


@pytest.mark.parametrize("path", ["", "/live", "/refund"])
async def test_another_shops_payment_looks_like_none(
    database: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_office(database) as office:
        others = books.draw(OTHER_SHOP, office.clock.now(), days=2, number=5)
        await books.write(office.platform, others)
        number = others.payments[0]["payment_no"]
        browser = await office.enter(await office.member(Role.MERCHANT_ADMIN))
        caplog.clear()
        assert 404 == (await browser.get(f"{TABLE}/{OTHER_SHOP}/{number}{path}")).status
        assert "another project's id" in caplog.text
        assert 404 == (await browser.get(f"{TABLE}/{SHOP}/{number}{path}")).status
        assert 404 == (await browser.get(f"{TABLE}/{SHOP}/{2**62}{path}")).status


async def test_every_kind_of_payment_draws_its_page_in_every_language(database: str) -> None:
    async with open_office(database) as office:
        past = books.draw(SHOP, office.clock.now(), days=2, number=100)
        await books.write(office.platform, past)
        browser = await office.enter(await office.member(Role.MERCHANT_ADMIN))
        one_of_each = {row["status"]: row["payment_no"] for row in past.payments}
        assert 6 == len(one_of_each)
        for language in ("en", "ko", "ru"):
            async with office.platform.database.transaction() as tx:
                await tx.execute("UPDATE person SET language = $1", language)
            for number in one_of_each.values():
                answer = await browser.get(f"{TABLE}/{SHOP}/{number}")
                assert 200 == answer.status
                assert ' style="' not in answer.text
