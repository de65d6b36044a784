"""A payer who comes back while the platform has trouble: what the browser brings is not lost, and nobody is left standing."""

from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.web.payer import FORM, Payer, page_path
from tests.world import PAGE_URL, OpenWorld, World, ask

from wongate.connections.database import Unavailable

POOL = 8


@asynccontextmanager
async def no_connection_free(world: World):
    async with AsyncExitStack() as held:
        for _ in range(POOL):
            await held.enter_async_context(world.platform.database.read())
        yield


async def test_a_return_that_finds_the_platform_busy_is_sent_once_more_and_pays(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
):
    """The browser alone has it: a plain error page would leave a payer who has agreed without a payment."""
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        form = await payer.pay()
        async with no_connection_free(world):
            with monkeypatch.context() as impatient:
                impatient.setattr("wongate.connections.database.ACQUIRE_S", 0.5)  # it waits in vain
                page = await payer.choose(form)
            assert (503, "notice") == (payer.answer.status, page.body["data-page"])
            assert "no-store" == payer.answer.headers["cache-control"]
        resend = next(form for form in page.forms if "data-resend" in form.attributes)
        page = await payer.post(resend.action, resend.values())
        assert "Payment complete" in page.texts
        assert 1 == (await world.simulator.books(form["body"]["Moid"]))["approvals"]


@asynccontextmanager
async def database_gone_after(world: World, commits: int):
    database, done = world.platform.database, 0
    read, seam = database.read, database.seam

    def count(name: str) -> None:
        nonlocal done
        done += name == "committed"

    @asynccontextmanager
    async def until_then() -> Any:
        if done >= commits:
            raise Unavailable("gone")
        async with read() as connection:
            yield connection

    database.seam, database.read = count, until_then  # type: ignore[method-assign]
    yield
    database.seam, database.read = seam, read  # type: ignore[method-assign]


@pytest.mark.parametrize(("source", "target"), [("page", "/result/"), ("gate", "http://example.url/success")])
async def test_a_paid_payer_is_sent_on_without_another_look_at_the_database(
    open_world: OpenWorld, source: str, target: str
):
    async with open_world() as world:
        form = await begun(world, source)
        result = (await world.simulator.choose(form, "card"))[0]
        async with database_gone_after(world, commits=2):  # the intent, and the approval
            answer = await come_back(world, form, result)
        assert "success" == await world.value("SELECT status FROM payment")
        assert (303, True) == (answer.status, answer.location.startswith(target))


@pytest.mark.parametrize("source", ["page", "gate"])
async def test_a_payer_is_sent_on_though_the_payment_cannot_be_read(open_world: OpenWorld, source: str):
    async with open_world() as world:
        form = await begun(world, source)
        result = (await world.simulator.choose(form, "card"))[0]
        await world.simulator.fault("approve", kind="reset", moid=form["body"]["Moid"])
        async with database_gone_after(world, commits=3):  # the intent, the doubt, and that nothing was taken
            answer = await come_back(world, form, result)
        assert "decline" == await world.value("SELECT status FROM payment")
        assert (303, True) == (answer.status, answer.location.startswith("/result/"))


@pytest.mark.parametrize("source", ["page", "gate"])
@pytest.mark.parametrize(
    "fault",
    [{"kind": "hang_after", "seconds": 0.2}, {"kind": "reset"}, {"kind": "http_500"}],
    ids=lambda fault: fault["kind"],
)
async def test_whatever_becomes_of_the_approval_the_payer_is_redirected(
    open_world: OpenWorld, source: str, fault: dict[str, Any]
):
    async with open_world() as world:
        form = await begun(world, source)
        await world.simulator.fault("approve", **fault, moid=form["body"]["Moid"])
        result = (await world.simulator.choose(form, "card"))[0]
        assert 303 == (await come_back(world, form, result)).status
        assert 303 == (await come_back(world, form, result)).status


async def begun(world: World, source: str) -> dict[str, Any]:
    if source == "gate":
        return await (await world.sale()).form()
    payer = Payer(world)
    await payer.get(page_path())
    return await payer.pay()


async def come_back(world: World, form: dict[str, Any], result: dict[str, str]) -> Any:
    path = form["body"]["ReturnURL"].removeprefix(PAGE_URL)
    return await ask(world.app, "POST", path, urlencode(result).encode(), FORM)
