"""What people read on the simulator's pages: Korean, English or Russian, and how money is written in each.

Machine values (codes, field names, states) are never translated. A test holds the three lists to the same keys.
"""

from wongate_simulator import words_en, words_ko, words_ru

KO, EN, RU = "ko", "en", "ru"
LANGUAGES = {KO: "한국어", EN: "English", RU: "Русский"}
WORDS = {KO: words_ko.WORDS, EN: words_en.WORDS, RU: words_ru.WORDS}
# The ribbon is the same in every language: whoever looks over a shoulder must see that no money moves.
RIBBON = "모의 결제창 · SIMULATOR"


def language_of(asked: str, accepted: str) -> str:
    """A language we speak: the one asked for (NpLang or ?lang=), then the browser's first, then Korean."""
    if asked.lower() in WORDS:
        return asked.lower()
    ranked: list[tuple[float, str]] = []
    for entry in accepted.lower().split(","):
        tag, _, quality = entry.strip().partition(";q=")
        try:
            ranked.append((float(quality or 1), tag[:2]))
        except ValueError:
            continue
    # sorted() keeps the browser's order among equals.
    for _, language in sorted(ranked, key=lambda choice: -choice[0]):
        if language in WORDS:
            return language
    return KO


def won(amount: int, language: str) -> str:
    """1,000원 · ₩1,000 · 1 000 ₩ (with no-break spaces)."""
    digits = f"{amount:,}"
    if language == RU:
        return digits.replace(",", "\u00a0") + "\u00a0₩"
    return f"{digits}원" if language == KO else f"₩{digits}"


def hint_text(key: str, detail: str, language: str) -> str:
    return WORDS[language][f"hint_{key}"].replace("{}", detail)
