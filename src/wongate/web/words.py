"""What people read, in Korean, English and Russian: gettext catalogues under `locale/`, amounts and dates by CLDR.

English is the language of the sources; `locale/<language>/<domain>*.po` hold the others and are read as they are, without a
compile step. Machine values (statuses, codes, field names) are never translated.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale, negotiate_locale
from babel.dates import format_datetime
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

LANGUAGES = ("ko", "en", "ru")
CATALOGUES = Path(__file__).parent / "locale"


class Words:
    """The texts of one domain (`checkout`, `dashboard`) in one language."""

    def __init__(self, domain: str, language: str) -> None:
        self.language = language
        self._texts: dict[str, Sequence[str]] = {}
        self._plural_of = Locale(language).plural_form
        if language == "en":
            return
        for path in sorted((CATALOGUES / language).glob(f"{domain}*.po")):
            with path.open("rb") as file:
                catalogue = read_po(file, locale=language)
            self._texts |= {_first(m.id): _all(m.string) for m in catalogue if m.id and any(_all(m.string))}

    def gettext(self, text: str) -> str:
        return self._texts.get(text, [text])[0]

    def ngettext(self, one: str, many: str, number: int) -> str:
        """The form for the number: Russian has three, Korean one."""
        forms = self._texts.get(one)
        if forms is None:
            return one if number == 1 else many
        order = {"ru": ("one", "few", "many")}.get(self.language, ("other",))
        form = self._plural_of(number)
        return forms[min(order.index(form) if form in order else len(order) - 1, len(forms) - 1)]

    def __contains__(self, text: str) -> bool:
        return text in self._texts


def _first(text: str | Sequence[str]) -> str:
    return text if isinstance(text, str) else text[0]


def _all(text: str | Sequence[str] | None) -> Sequence[str]:
    return [text] if isinstance(text, str) else text or []


@cache
def words(domain: str, language: str) -> Words:
    return Words(domain, language if language in LANGUAGES else "en")


def choose_language(wished: str, accept_language: str, default: str = "en") -> str:
    """The wish if there is one (an unsupported one means English, section 6.1), else the browser's, else the default."""
    if wished:
        code = wished.lower().replace("_", "-").split("-")[0]
        return code if code in LANGUAGES else "en"
    preferred = [part.split(";")[0].strip() for part in accept_language.split(",") if part.strip()]
    return negotiate_locale(preferred, LANGUAGES, sep="-") or default


def won(amount: int, language: str) -> str:
    """`1,000원`, `₩1,000`, `1 000 ₩`."""
    number = format_decimal(amount, locale=language)
    return {"ko": f"{number}원", "ru": f"{number}\u00a0₩"}.get(language, f"₩{number}")


def moment(at: datetime, language: str, zone: str = "Asia/Seoul") -> str:
    """Date and time to the second with the zone's name written out."""
    pattern = {"ko": "y. M. d. HH:mm:ss"}.get(language, "medium")  # CLDR's Korean writes PM in Latin letters
    return f"{format_datetime(at, pattern, tzinfo=ZoneInfo(zone), locale=language)} {zone}"
