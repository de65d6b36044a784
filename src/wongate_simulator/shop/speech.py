"""Texts in a language, amounts as it writes them, and which language a reader wants."""

from collections.abc import Iterable

from wongate_simulator.shop.words import LANGUAGES, WORDS

FALLBACK = "en"


class Speech:
    """`say("key", amount="1,000원")`: the text of a key in one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._words = WORDS[language]

    def __call__(self, key: str, **values: object) -> str:
        return self._words[key].format(**values)

    def won(self, amount: int) -> str:
        return won(amount, self.language)

    def status(self, status: str) -> str:
        """A status in words; one that the shop does not know stays as the platform wrote it."""
        return self._words.get(f"status.{status}", status)

    def about(self, status: str) -> str:
        return self._words.get(f"about.{status}", self._words["about.other"])

    def reason(self, code: str, message: str) -> str:
        """Why Gate or Payco said no: the code always, in words where we have them."""
        text = self._words.get(f"code.{code}", message)
        return self("reason", code=code, text=text) if code else text

    def callback_title(self, operation_type: str, operation_status: str) -> str:
        title = self._words.get(f"callback.{operation_type}", self._words["callback.other"])
        status = self._words.get(f"{operation_type}.{operation_status}") or self.status(operation_status)
        return f"{title}: {status}" if status else title


def won(amount: int, language: str) -> str:
    """Whole won as the language writes them: 1,000원 · ₩1,000 · 1 000 ₩ (with no-break spaces)."""
    if language == "ru":
        return f"{amount:,} ₩".replace(",", "\N{NO-BREAK SPACE}").replace(" ", "\N{NO-BREAK SPACE}")
    return f"{amount:,}원" if language == "ko" else f"₩{amount:,}"


def chosen_language(chosen: Iterable[str | None], accept_language: str) -> str:
    """The first explicit choice that we speak, else the best of Accept-Language, else English."""
    wishes = [wish for wish in chosen if wish] + _preferred(accept_language)
    return next((wish for wish in wishes if wish in LANGUAGES), FALLBACK)


def _preferred(accept_language: str) -> list[str]:
    """`ru;q=0.5, ko-KR` -> ["ko", "ru"]."""
    wishes = []
    for part in accept_language.split(","):
        tag, _, quality = part.partition(";q=")
        try:
            wishes.append((float(quality or 1), tag.strip().split("-")[0].lower()))
        except ValueError:
            continue
    return [tag for _, tag in sorted(wishes, key=lambda wish: -wish[0])]
