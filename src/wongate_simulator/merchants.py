"""Merchants of the simulated PG: MID, MerchantKey and how NICEPAY treats each of them."""

import hashlib
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from wongate_simulator.mistakes import Mistake

# Lifetimes are unpublished; these are N-4, N-10 and N-13.
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Merchant:
    """Settings with NICEPAY's presumed defaults; each line's comment says what another value changes."""

    mid: str
    key: str = ""  # empty: every request is refused for want of a key (W009, A109)
    name: str = ""
    edi_date_tolerance_s: int = 60 * MINUTE_S  # 0 switches the check of the window's EdiDate off (N-4)
    window_lifetime_s: int = 30 * MINUTE_S
    approval_lifetime_s: int = 30 * MINUTE_S
    net_cancel_window_s: int = 5 * MINUTE_S
    cancel_period_days: int = 365
    min_amount: int = 100  # whole won (N-17)
    cc_part_cl: str = "1"  # "0": approvals say that partial cancels are not possible (N-15)
    one_partial_only: bool = False  # a second partial cancel is refused with 2029 (N-15)
    refuse_compound_partial: bool = False  # a partial cancel of a mixed payment is refused with 2051
    partial_tid: str = "new"  # "original": partial cancels answer with the approval's TID (N-14)
    wrong_hash_code: str = "A211"  # or "A101" (N-19)
    sign_failures: bool = False  # failures carry a valid Signature instead of "" (N-9)
    sign_cancels: bool = True  # False: successful cancels carry no Signature, as older merchants see (N-9)
    notices: bool = False  # a real merchant must configure notifications too (N-16)
    notice_url: str = ""

    @property
    def shown_name(self) -> str:
        return self.name or self.mid

    def public(self) -> dict[str, Any]:
        """All settings; of the key only enough to recognise it."""
        shown = asdict(self)
        del shown["key"]
        return {**shown, "key_set": bool(self.key), "key_fingerprint": fingerprint(self.key)}


SETTINGS = {field.name: field for field in fields(Merchant)}
CHOICES = {"cc_part_cl": ("0", "1"), "partial_tid": ("new", "original"), "wrong_hash_code": ("A211", "A101")}


def fingerprint(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12] if key else ""


def merge(existing: Merchant | None, wanted: dict[str, Any]) -> Merchant:
    """The merchant with the wanted settings changed. Raises Mistake with a sentence that says what is wrong."""
    mid = wanted.get("mid")
    if not isinstance(mid, str) or not (1 <= len(mid) <= 10 and mid.isascii() and mid.isalnum()):
        raise Mistake("mid must be 1 to 10 ASCII letters and digits")
    for name, value in wanted.items():
        _check(name, value)
    return replace(existing or Merchant(mid), **wanted)


def _check(name: str, value: Any) -> None:
    if name not in SETTINGS:
        raise Mistake(f"unknown setting {name!r}; known are {', '.join(SETTINGS)}")
    kind = SETTINGS[name].type
    if type(value) is not kind:
        raise Mistake(f"{name} must be of type {getattr(kind, '__name__', kind)}")
    if isinstance(value, int) and value < 0:
        raise Mistake(f"{name} must not be negative")
    if name in CHOICES and value not in CHOICES[name]:
        raise Mistake(f"{name} must be one of {', '.join(CHOICES[name])}")
    if name == "notice_url" and value and not value.startswith(("http://", "https://")):
        raise Mistake("notice_url must start with http:// or https://")
