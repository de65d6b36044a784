"""What a provider may tell us. Every answer is a value; silence is `Unanswered`, never a decline (N-10, N-12)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Approved:
    """The provider did what was asked: `amount` in whole won as it booked it, `reference` its id of the transaction (TID).

    `left` is what of the transaction has not gone back after a cancel, in won, where the provider tells it (RemainAmt).
    """

    amount: int
    reference: str
    details: Mapping[str, str] = field(default_factory=dict)
    left: int | None = None


@dataclass(frozen=True, slots=True)
class Declined:
    """An explicit no. `code` is ours (`domain.codes`), `provider_code` and `provider_text` the provider's own words.

    `already_done` marks a cancel refused because the money had gone back before (2013): after an unknown first try that
    probably means success, and the inquiry decides (N-12).
    """

    code: int
    provider_code: str = ""
    provider_text: str = ""
    alarm: bool = False
    already_done: bool = False


@dataclass(frozen=True, slots=True)
class NotSent:
    """The request never left (connection refused, name not found): it may be sent again without danger."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nobody knows whether it was done: time-out, broken answer, a code that NICEPAY itself calls unclear.

    `may_repeat`: the provider asks for the same call again (2056), the only case in which a partial cancel is repeated.
    `alarm`: an operator should look at it, as at a success without a valid signature (N-9).
    """

    reason: str
    provider_code: str = ""
    may_repeat: bool = False
    alarm: bool = False


Outcome = Approved | Declined | NotSent | Unanswered


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The payer agreed in the window; no money has moved. The two URLs have passed the allow-list (N-7)."""

    reference: str
    token: str
    approve_url: str
    net_cancel_url: str


@dataclass(frozen=True, slots=True)
class Tampered:
    """The return does not fit what we asked for: no call is made, the payment stays as it is (F8)."""

    reason: str


ReturnResult = Authenticated | Declined | Tampered


class Form(NamedTuple):
    """Where the payer's browser goes, as SEED's `redirect_data`: a form posted to `url`. All values are strings."""

    url: str
    body: Mapping[str, str]
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Bridge:
    """What our page between platform and window needs where a plain form does not open it (N-1).

    `script_url` opens the window as a layer on wide screens, `window_url` takes the form on phones, in `charset`; only
    `origins` may speak to the page.
    """

    script_url: str
    window_url: str
    charset: str
    origins: tuple[str, ...]


class Undone(StrEnum):
    """What a net cancel achieved (N-10)."""

    CANCELLED = "cancelled"  # 2001: not charged
    NOTHING = "nothing to cancel"  # 2012: the approval never happened
    ALREADY = "already cancelled"  # 2013, 2015: inquiry decides
    WINDOW_OVER = "window over"  # 2020: only an ordinary cancel helps now
    UNCLEAR = "unclear"  # anything else, silence included


class Standing(StrEnum):
    """What the provider's inquiry says of a transaction (N-11: a partly cancelled one still reads as approved)."""

    APPROVED = "approved"
    CANCELLED = "cancelled"
    ABSENT = "absent"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Notice:
    """A provider's unsigned hint that something happened to a transaction (N-16)."""

    merchant_id: str
    reference: str
    moid: str
    amount: int
    cancelled: bool
    cancel_moid: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call to a provider as the time line shows it: secrets are masked before they get here."""

    kind: str  # approve, net_cancel, cancel, inquiry
    at: datetime
    duration_ms: int
    request: Mapping[str, str]
    response: Mapping[str, str]
    verdict: str
