"""A body that comes too slowly or is too large: the payer is told what it was, and nothing is taken for a lost payment."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from tests.web.payer import FORM, Html, Payer, page_path
from tests.world import PAGE_URL, Answer, OpenWorld, World, ask

from wongate.domain.requests import BODY_MAX
from wongate.web.back_pressure import BODY_TIMES, REQUEST_BYTES, BackPressure

RETURN = "/return/nicepay/1.2.abcdef"
FORMS = (RETURN, "/payment", "/payment/again", "/payment/pay")
HALF_SENT = 60_000  # bytes that are announced: every front takes as many
TOO_LARGE = b"a=" + b"x" * BODY_MAX
SLOWNESS = {
    "ko": ("너무 천천히 도착했습니다", "페이지를 새로 고침해 다시 보내 주세요."),
    "en": ("This came too slowly", "Please reload the page to send it once more."),
    "ru": ("Данные пришли слишком медленно", "Обновите страницу, чтобы отправить их ещё раз."),
}
LARGENESS = {
    "ko": ("보낸 내용이 너무 큽니다", "쇼핑몰로 돌아가 다시 시작해 주세요."),
    "en": ("This is too large", "Please go back to the shop and start again."),
    "ru": ("Слишком большой объём данных", "Вернитесь в магазин и начните заново."),
}


async def slowly(world: World, path: str, headers: Mapping[str, str] = FORM) -> Answer:
    """Half a body and then nothing, while more than half of the front's memory is in use."""
    room = REQUEST_BYTES + BODY_TIMES * HALF_SENT

    async def half(scope: Any, receive: Any, send: Any) -> None:
        await front(scope, first_half(), send)

    async def no_room(send: Any) -> None:
        raise AssertionError("there was room")

    front = BackPressure(world.app, no_room, memory_max=room * 3 // 2, body_within_s=0.05)
    return await ask(half, "POST", path, headers={**headers, "content-length": str(HALF_SENT)})


def first_half() -> Any:
    told = [{"type": "http.request", "body": b"signature=", "more_body": True}]

    async def receive() -> Mapping[str, Any]:
        if not told:
            await asyncio.Event().wait()
        return told.pop()

    return receive


def is_told(answer: Answer, status: int, words: tuple[str, str], language: str) -> None:
    page = Html(answer.raw.decode())
    assert (status, "close", "notice", language) == (
        answer.status,
        answer.headers["connection"],
        page.body["data-page"],
        page.language,
    )
    assert set(words) <= set(page.texts)
    assert ("no-store", language) == (answer.headers["cache-control"], answer.headers["content-language"])
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("language", SLOWNESS)
async def test_a_form_that_comes_too_slowly_is_told_so_in_the_payers_language(
    open_world: OpenWorld, language: str
):
    async with open_world() as world:
        headers = {**FORM, "accept-language": language}
        for path in FORMS:
            is_told(await slowly(world, path, headers), 408, SLOWNESS[language], language)


@pytest.mark.parametrize("language", LARGENESS)
async def test_a_form_that_is_too_large_is_told_so_in_the_payers_language(
    open_world: OpenWorld, language: str
):
    async with open_world() as world:
        headers = {**FORM, "accept-language": language}
        for path in FORMS:
            answer = await ask(world.app, "POST", path, TOO_LARGE, headers)
            is_told(answer, 413, LARGENESS[language], language)


async def test_a_slow_return_is_reloaded_and_pays(open_world: OpenWorld):
    """What the browser holds is not lost: the page stands at the address of the return, and to reload it sends the form again."""
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        form = await payer.pay()
        before = await world.fingerprint()
        answer = await slowly(world, form["body"]["ReturnURL"].removeprefix(PAGE_URL))
        assert (408, False) == (answer.status, b"http-equiv" in answer.raw)
        assert before == await world.fingerprint()
        page = await payer.choose(form)
        assert "Payment complete" in page.texts


async def test_the_form_for_a_bridge_is_held_to_the_same(open_world: OpenWorld):
    async with open_world() as world:
        payer = Payer(world)
        await payer.get(page_path())
        token = (await payer.pay())["body"]["ReturnURL"].rpartition("/")[2]
        path = f"/bridge/nicepay/{token}"
        is_told(await slowly(world, path), 408, SLOWNESS["en"], "en")
        answer = await ask(world.app, "POST", path, TOO_LARGE, FORM)
        is_told(answer, 413, LARGENESS["en"], "en")


@pytest.mark.parametrize("path, content", [("/params/check", b'{"errors"'), ("/notice/nicepay", b"FAIL")])
async def test_machines_are_told_by_the_status(open_world: OpenWorld, path: str, content: bytes):
    async with open_world() as world:
        answers = [await slowly(world, path), await ask(world.app, "POST", path, TOO_LARGE, FORM)]
        assert [408, 413] == [answer.status for answer in answers]
        for answer in answers:
            assert "close" == answer.headers["connection"]
            assert answer.raw.startswith(content)
        assert 0 == await world.value("SELECT count(*) FROM notice")


async def test_what_is_refused_otherwise_looks_as_before(open_world: OpenWorld):
    async with open_world() as world:
        unknown = await ask(world.app, "POST", RETURN, b"a=b", FORM)
        unsigned = await ask(world.app, "POST", "/payment", b"project_id=1001", FORM)
        assert [(404, None), (400, None)] == [
            (answer.status, answer.headers.get("connection")) for answer in (unknown, unsigned)
        ]
        assert "There is no payment here" in Html(unknown.raw.decode()).texts
        assert "refused" == Html(unsigned.raw.decode()).body["data-page"]
