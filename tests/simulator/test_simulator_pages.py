"""Pages: security headers, languages, and that nothing a sender writes becomes markup."""

import html.parser
import re
from pathlib import Path

import pytest
from tests.simulator.shopkeeper import Shopkeeper, simulator

from wongate_simulator import words
from wongate_simulator.rendering import HERE

DESKS = ("/", "/exchanges", "/admin", "/control")


class Tags(html.parser.HTMLParser):
    """Every element with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


async def _all_pages(keeper: Shopkeeper) -> dict[str, tuple[bool, str, str]]:
    """name -> (may be framed, policy, text) of every kind of page."""
    window = "/v3/v3Payment.jsp"
    opened = (await keeper.post(window, keeper.window_body(Amt="50000"))).headers["Location"]
    picker = (await keeper.post(window, keeper.window_body(DirectShowOpt=""))).headers["Location"]
    result = await keeper.paid()
    await keeper.cancel(result["TxTid"], 100, partial=True)
    answers = {
        "window": (True, await keeper.get(opened)),
        "terms missing": (True, await keeper.post(opened, {"outcome": "card"})),
        "picker": (True, await keeper.get(picker)),
        "closed": (True, await keeper.post(picker, {"outcome": "abandon"})),
        "expired": (True, await keeper.post(picker, {"outcome": "expire"})),
        "result": (True, await keeper.post(opened, {"outcome": "cancel"})),
        "ended": (True, await keeper.get(opened)),
        "refused": (True, await keeper.post(window, keeper.window_body(SignData="x"))),
        "lost": (True, await keeper.get("/window/none")),
        "transaction": (False, await keeper.get(f"/admin/{result['AuthToken']}")),
        **{desk: (False, await keeper.get(desk)) for desk in DESKS},
    }
    return {
        name: (framed, a.headers["content-security-policy"], a.text())
        for name, (framed, a) in answers.items()
    }


async def test_every_page_has_a_strict_policy_with_a_nonce_of_its_own(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        pages = await _all_pages(keeper)

    nonces = [re.findall("script-src 'nonce-([^']+)'", policy)[0] for _, policy, _ in pages.values()]
    assert len(pages) == len(set(nonces))
    for name, (framed, policy, text) in pages.items():
        [nonce] = re.findall("script-src 'nonce-([^']+)'", policy)
        assert "default-src 'none'" in policy
        assert "base-uri 'none'" in policy
        assert "unsafe" not in policy
        assert ("frame-ancestors http: https:" if framed else "frame-ancestors 'none'") in policy, name
        anywhere = name in ("result", "ended")
        assert ("form-action http: https:;" if anywhere else "form-action 'self';") in policy, name
        for tag, attributes in Tags(text).found:
            assert not [
                attribute for attribute in attributes if attribute.startswith("on") or attribute == "style"
            ]
            if tag == "script" or attributes.get("rel") == "stylesheet":
                assert nonce == attributes["nonce"]
                assert (attributes.get("src") or attributes.get("href") or "").startswith("/static/")


async def test_every_page_says_what_it_is_in_its_language(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        pages = await _all_pages(keeper)

    for _, _, text in pages.values():
        assert '<html lang="ko">' in text
        assert "모의 결제창 · SIMULATOR" in text
        assert 1 == text.count("<h1")


@pytest.mark.parametrize(
    "np_lang, accepted, expected",
    [
        ("", "", "ko"),
        ("EN", "ko", "en"),
        ("KO", "en-US,en;q=0.9", "ko"),
        ("", "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("", "de,en;q=0.5,ko;q=0.7", "ko"),
        ("CN", "fr", "ko"),
        ("", "en;q=x,ru", "ru"),
    ],
)
async def test_the_window_speaks_the_language_asked_for(
    np_lang: str, accepted: str, expected: str, tmp_path: Path
) -> None:
    async with simulator(tmp_path) as keeper:
        opened = await keeper.post("/v3/v3Payment.jsp", keeper.window_body(NpLang=np_lang))
        page = await keeper.get(opened.headers["Location"], **{"Accept-Language": accepted})
        chosen = await keeper.get(opened.headers["Location"] + "?lang=ru")

        assert f'<html lang="{expected}">' in page.text()
        assert words.WORDS[expected]["terms"] in page.text()
        assert '<html lang="ru">' in chosen.text()


def test_the_three_languages_have_the_same_words_and_gaps() -> None:
    korean = words.WORDS["ko"]
    for language, texts in words.WORDS.items():
        assert set(korean) == set(texts), language
        assert [] == [key for key, text in texts.items() if not text.strip()]
        assert [] == [key for key, text in texts.items() if text.count("{}") == 0 and "{}" in korean[key]], (
            language
        )


def test_every_word_is_used_and_every_used_word_exists() -> None:
    sources = [path.read_text("utf-8") for path in (*HERE.glob("templates/*.html"), *HERE.glob("*.py"))]
    used = {name for text in sources for name in re.findall(r"\bt\.(\w+)", text)}
    used |= {name for text in sources for name in re.findall(r'WORDS\[[^\]]+\]+\["(\w+)"\]', text)}
    hints = {name for text in sources for name in re.findall(r'Hint\("(\w+)"', text)}
    known = set(words.WORDS["ko"])

    assert used | {f"hint_{name}" for name in hints} == known


@pytest.mark.parametrize(
    "language, text", [("ko", "1,234,000원"), ("en", "₩1,234,000"), ("ru", "1\u00a0234\u00a0000\u00a0₩")]
)
def test_money_is_written_as_the_language_does(language: str, text: str) -> None:
    assert text == words.won(1_234_000, language)


async def test_what_a_sender_writes_never_becomes_markup(tmp_path: Path) -> None:
    evil = "\"><script>alert('x')</script>"
    async with simulator(tmp_path, name=evil) as keeper:
        opened = await keeper.post(
            "/v3/v3Payment.jsp", keeper.window_body(Moid="m1", GoodsName=evil, BuyerName=evil)
        )
        texts = [
            (await keeper.get(opened.headers["Location"])).text(),
            (await keeper.post(opened.headers["Location"], {"outcome": "card", "agree": "on"})).text(),
            (await keeper.post("/v3/v3Payment.jsp", keeper.window_body(Moid=evil))).text(),
            (await keeper.get("/exchanges")).text(),
            (await keeper.get("/exchanges?q=%22%3E%3Cscript%3E")).text(),
            (await keeper.get("/admin?q=%22%3E%3Cscript%3E")).text(),
            (await keeper.get("/?lang=%22%3E%3Cscript%3E")).text(),
        ]

        for text in texts:
            assert ["/static/simulator.js"] == [
                attributes["src"] for tag, attributes in Tags(text).found if tag == "script"
            ]


async def test_the_pay_buttons_are_gated_without_javascript_and_explained(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        opened = await keeper.post("/v3/v3Payment.jsp", keeper.window_body())
        text = (await keeper.get(opened.headers["Location"])).text()

    tags = Tags(text).found
    [box] = [attributes for tag, attributes in tags if attributes.get("type") == "checkbox"]
    buttons = {a["value"]: a for tag, a in tags if tag == "button"}
    assert "required" in box
    assert ["card", "points", "mixed", "cancel", "fail", "expire", "abandon"] == list(buttons)
    for name, attributes in buttons.items():
        assert (name not in ("card", "points", "mixed")) is ("formnovalidate" in attributes)
        assert f'id="{attributes["aria-describedby"]}"' in text


async def test_the_window_shows_the_bill(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        opened = await keeper.post(
            "/v3/v3Payment.jsp", keeper.window_body(Amt="1000", GoodsName="커피", Moid="m1")
        )
        await keeper.fault("approve", "hang_after")
        text = (await keeper.get(opened.headers["Location"])).text()

        for shown in (
            "달빛 상점",
            "커피",
            "m1",
            "1,000원",
            "approve hang_after",
            "SignData",
            f"{keeper.sink_url}/return",
        ):
            assert shown in text


async def test_the_result_page_continues_without_javascript(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        opened = await keeper.post("/v3/v3Payment.jsp", keeper.window_body(CharSet="euc-kr"))
        text = (await keeper.post(opened.headers["Location"], {"outcome": "card", "agree": "on"})).text()
        [form] = [attributes for tag, attributes in Tags(text).found if tag == "form"]

        assert ("post", f"{keeper.sink_url}/return", "euc-kr") == (
            form["method"],
            form["action"],
            form["accept-charset"],
        )
        assert "계속하기</button>" in text


async def test_the_exchange_page_explains_a_wrong_hash_in_the_readers_language(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = (await keeper.pay())["result"]
        await keeper.approve(result, SignData="0" * 64)

        assert (
            "No change of a single piece explains this hash"
            in (await keeper.get("/exchanges?lang=en")).text()
        )
        assert "Ни одна замена одной части" in (await keeper.get("/exchanges?lang=ru")).text()
        assert (
            "approve"
            not in (await keeper.get("/exchanges?kind=inquiry")).text().split("<main>")[1].split("</form>")[1]
        )


async def test_transactions_are_found_by_moid_and_tid(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        result = await keeper.paid(Moid="wanted")
        await keeper.paid(Moid="another")

        for search in ("wanted", result["TxTid"]):
            text = (await keeper.get(f"/admin?q={search}")).text()
            assert ("<b>wanted</b>" in text, "<b>another</b>" in text) == (True, False)


async def test_unknown_places_answer_404(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        for path in ("/nowhere", "/window/none", "/admin/none", "/static/none.css", "/static/../app.py"):
            assert 404 == (await keeper.get(path)).status
        assert 404 == (await keeper.post("/window/none", {"outcome": "card"})).status
        assert 405 == (await keeper.get("/webapi/pay_process.jsp")).status


async def test_a_mistyped_address_is_a_page_to_a_browser_and_json_to_a_program(tmp_path: Path) -> None:
    async with simulator(tmp_path) as keeper:
        assert {"error": "Not Found"} == (await keeper.get("/nowhere")).json()
        shown = await keeper.get("/nowhere?lang=en", Accept="text/html,*/*;q=0.8")
        assert (404, True) == (shown.status, "There is no page at this address." in shown.text())


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    "front, back, least",
    [
        *((ink, ground, 4.5) for ink in ("ink", "quiet", "pine", "bad") for ground in ("paper", "sheet")),
        ("ink", "pine-soft", 4.5),
        ("quiet", "pine-soft", 4.5),
        ("pine", "pine-soft", 4.5),
        ("pine-ink", "pine", 4.5),
        ("bad", "bad-soft", 4.5),
        ("ribbon-ink", "ribbon", 4.5),
        ("edge", "sheet", 3.0),
        ("edge", "paper", 3.0),
        ("pine", "paper", 3.0),
    ],
)
def test_colours_differ_enough_to_be_read(scheme: int, front: str, back: str, least: float) -> None:
    """WCAG 2.2: 1.4.3 for text, 1.4.11 for the edges of controls and the focus ring."""
    css = (HERE / "static" / "simulator.css").read_text("utf-8")
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css.split(":root {")[1 + scheme]))
    lighter, darker = sorted((_luminance(colours[front]), _luminance(colours[back])), reverse=True)

    assert least <= (lighter + 0.05) / (darker + 0.05)
