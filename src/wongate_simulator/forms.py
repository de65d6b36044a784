"""Form bodies as bytes: Korean senders use EUC-KR or UTF-8 percent-encoding and do not say which."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote_plus, unquote_to_bytes

# CP949 is what browsers and Korean servers mean by "EUC-KR": a superset with all 11,172 syllables.
EUC_KR = "cp949"
UTF_8 = "utf-8"


@dataclass(slots=True)
class Form:
    """Fields of one body in order of arrival; of a repeated name the first value counts."""

    fields: dict[str, str] = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    charset: str = UTF_8

    def as_euc_kr(self, name: str) -> str:
        """The value as NICEPAY reads it, whatever the sender meant; UTF-8 text comes out garbled, as it does there."""
        return self.raw.get(name, b"").decode(EUC_KR, "replace")


def read_form(body: bytes) -> Form:
    """Never fails: UTF-8 when every byte sequence is valid UTF-8, otherwise CP949 with replacement marks."""
    form = Form()
    for piece in body.split(b"&"):
        name, separator, value = piece.partition(b"=")
        if not (name or separator):
            continue
        key = _unquote(name).decode(UTF_8, "replace")
        if key in form.raw:
            form.repeated.append(key)
            continue
        form.raw[key] = _unquote(value)
    try:
        form.fields = {key: value.decode(UTF_8) for key, value in form.raw.items()}
    except UnicodeDecodeError:
        form.charset = "euc-kr"
        form.fields = {key: value.decode(EUC_KR, "replace") for key, value in form.raw.items()}
    return form


def _unquote(text: bytes) -> bytes:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    return unquote_to_bytes(text) if b"%" in text else text


def write_form(fields: Iterable[tuple[str, str]], charset: str) -> bytes:
    """Percent-encodes as a browser does: characters outside the charset become numeric references."""
    encoding = UTF_8 if charset == UTF_8 else EUC_KR

    def quoted(text: str) -> str:
        return quote_plus(text, encoding=encoding, errors="xmlcharrefreplace")

    return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in fields).encode("ascii")


def is_utf_8(charset: str) -> bool:
    """Whether a CharSet field asks for UTF-8; NICEPAY's default is EUC-KR."""
    return charset.lower() in ("utf-8", "utf8")


def unescape_script(text: str) -> str:
    """Undoes JavaScript's escape() (%uXXXX and %XX), which the PC script applies to the Enc* fields (nicepay 1.5)."""
    out: list[str] = []
    position = 0
    while position < len(text):
        digits = (
            (position + 2, position + 6)
            if text[position : position + 2] == "%u"
            else (position + 1, position + 3)
        )
        code = text[slice(*digits)]
        if text[position] == "%" and len(code) == digits[1] - digits[0] and _is_hex(code):
            out.append(chr(int(code, 16)))
            position = digits[1]
        else:
            out.append(text[position])
            position += 1
    # A pair of surrogates is one character outside the basic plane; a lone one cannot be encoded and is marked.
    return "".join(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_hex(text: str) -> bool:
    return all(letter in "0123456789abcdefABCDEF" for letter in text)
