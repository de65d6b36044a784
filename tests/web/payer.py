"""A payer with a browser that runs no script: follows redirects, fills in forms, presses buttons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from payment_page_sdk.gate import Gate
from payment_page_sdk.payment import Payment
from payment_page_sdk.signature_handler import SignatureHandler
from tests.world import PAGE_URL, PROJECT_ID, SECRET, Answer, World, ask

FORM = {"content-type": "application/x-www-form-urlencoded"}


def parameters(**changes: Any) -> dict[str, str]:
    """The source document's `EPayWidget.run` call with its signature; None takes a parameter away."""
    asked: dict[str, Any] = {
        "project_id": str(PROJECT_ID),
        "payment_id": "X03936",
        "payment_amount": "1000",
        "payment_currency": "KRW",
        "customer_id": "1234",
        **changes,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    return asked | {"signature": SignatureHandler(SECRET).sign(asked)}


def page_path(**changes: Any) -> str:
    return f"/payment?{urlencode(parameters(**changes))}"


def sdk_url(payment_id: str, **values: Any) -> str:
    """What ecommpay-sdk 1.0.6 makes of a payment."""
    payment = Payment(PROJECT_ID, payment_id)
    payment.payment_amount, payment.payment_currency, payment.customer_id = 1000, "KRW", "1234"
    for name, value in values.items():
        setattr(payment, name, value)
    url: str = Gate(SECRET, f"{PAGE_URL}/payment").get_purchase_payment_page_url(payment)
    return url


@dataclass(slots=True)
class Form:
    attributes: dict[str, str]
    fields: list[tuple[str, str]] = field(default_factory=list)

    @property
    def action(self) -> str:
        return self.attributes.get("action", "")

    def values(self) -> dict[str, str]:
        return dict(self.fields)


class Html(HTMLParser):
    """A page taken apart: forms with what they would send, links, texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, dict[str, str]] = {}
        self.body: dict[str, str] = {}
        self.language = ""
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._inside: Form | None = None
        self._link: dict[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, found: Sequence[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in found}
        self.tags.append((tag, attributes))
        if tag == "html":
            self.language = attributes["lang"]
        elif tag == "body":
            self.body = attributes
        elif tag == "form":
            self._inside = Form(attributes)
            self.forms.append(self._inside)
        elif tag == "a":
            self._link = attributes
        elif tag == "input" and self._inside and "name" in attributes and _is_sent(attributes):
            self._inside.fields.append((attributes["name"], attributes.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = None
        elif tag == "a":
            self._link = None

    def handle_data(self, text: str) -> None:
        if text.strip():
            self.texts.append(" ".join(text.split()))
            if self._link is not None:
                self.links[self.texts[-1]] = self._link

    def form(self, action: str) -> Form:
        found = [form for form in self.forms if form.action.endswith(action)]
        assert 1 == len(found), [form.action for form in self.forms]
        return found[0]


def _is_sent(attributes: Mapping[str, str]) -> bool:
    return attributes.get("type") != "radio" or "checked" in attributes


@dataclass(slots=True)
class Payer:
    """`headers` go along with every request; `url` is where the browser stands."""

    world: World
    headers: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    answer: Answer = field(default_factory=lambda: Answer(0, {}, b""))

    @property
    def page(self) -> Html:
        return Html(self.answer.raw.decode())

    async def get(self, url: str) -> Html:
        return await self._go("GET", url)

    async def press(self, action: str, **changes: str) -> Html:
        """Sends the form with that action, hidden fields and all."""
        form = self.page.form(action)
        return await self.post(form.action, {**form.values(), **changes})

    async def post(self, url: str, fields: Mapping[str, str]) -> Html:
        return await self._go("POST", url, urlencode(fields).encode())

    async def _go(self, method: str, url: str, raw: bytes = b"") -> Html:
        """Follows redirects on our own pages; elsewhere the browser just stands."""
        for _ in range(5):
            self.url = urljoin(self.url or PAGE_URL, url)
            parts = urlsplit(self.url)
            if not self.url.startswith(PAGE_URL):
                return self.page
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            headers = {**self.headers, **(FORM if method == "POST" else {})}
            self.answer = await ask(self.world.app, method, path, raw, headers)
            if self.answer.status != 303:
                return self.page
            method, url, raw = "GET", self.answer.location, b""
        raise AssertionError("redirects without end")

    async def pay(self) -> dict[str, Any]:
        """Presses Pay on the form; the way to the window, as `redirect_data` would name it."""
        page = await self.press("/payment/pay")
        return window_of(page)

    async def choose(self, form: Mapping[str, Any], outcome: Any = "card") -> Html:
        """Chooses in the simulated window, and comes back to our page."""
        result = (await self.world.simulator.choose(form, outcome))[0]
        return await self.post(form["body"]["ReturnURL"], result)


def window_of(page: Html) -> dict[str, Any]:
    form = next(form for form in page.forms if form.attributes.get("id") == "handoff")
    return {"method": form.attributes["method"].upper(), "url": form.action, "body": form.values()}
