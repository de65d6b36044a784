"""What NICEPAY says to us: the return, answers of the four calls, notices (sections 2-7).

Pure: decodes, checks signatures, maps. Never raises because of what came in; what cannot be read is
`Unanswered` or `UNCLEAR`, never a decline.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from wongate.domain import codes as ours
from wongate.domain.account import Account
from wongate.domain.outcome import (
    Approved,
    Authenticated,
    Declined,
    Notice,
    Outcome,
    ReturnResult,
    Standing,
    Tampered,
    Unanswered,
    Undone,
)
from wongate.providers.nicepay import codes, hashes
from wongate.providers.nicepay.accounts import APPROVAL_PATH, CANCEL_PATH, settings_of
from wongate.providers.nicepay.codes import CodeTable

_MARK = "\ufeff".encode()
_FORM_MAX = 64 * 1024  # bytes; the largest genuine one, a notice, has about 2 kB
_FIELDS_MAX = 200  # a PC return carries all of the window's fields again, some 50
_TEXT_MAX = 200  # characters of a text that is only shown
_AMOUNT = re.compile(r"[0-9]{1,12}")
_REFERENCE = re.compile(r"[A-Za-z0-9]{1,40}")  # TID and AuthToken
_CODE = re.compile(r"[A-Z0-9]{1,10}")
_WHOLE_CARD_NUMBER = re.compile(r"([0-9]{6})[0-9]{2,9}([0-9]{4})")

_APPROVAL_DETAILS = (
    *("AuthCode", "AuthDate", "CardCode", "CardName", "CardNo", "CardQuota", "CardCl", "AcquCardCode"),
    *("AcquCardName", "ClickpayCl", "CcPartCl", "MultiCl", "MultiCardAcquAmt", "MultiPointAmt"),
    *("MultiCouponAmt", "MultiRcptAmt", "ResultMsg"),
)
_CANCEL_DETAILS = ("CancelNum", "CancelDate", "CancelTime", "RemainAmt", "Moid", "ResultMsg")


def read_form(body: bytes) -> dict[str, str]:
    """A posted form as text: UTF-8, else EUC-KR. The first of equal names wins; too large reads as empty."""
    if len(body) > _FORM_MAX or body.count(b"&") >= _FIELDS_MAX:
        return {}
    pairs = [pair.partition(b"=") for pair in body.replace(b"+", b" ").split(b"&") if pair]
    octets = [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs]
    whole = b"".join(name + value for name, value in octets)
    if b"\0" in whole:  # no database keeps it, and nobody honest sends it
        return {}
    charset = _charset(whole)
    fields: dict[str, str] = {}
    for name, value in octets:
        fields.setdefault(name.decode(charset, "replace"), value.decode(charset, "replace"))
    return fields


def read_answer(body: bytes) -> dict[str, str] | None:
    """A JSON answer: one object of texts. None for anything else, two equal names included."""
    try:
        answer = json.loads(body.decode(_charset(body)), object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or not all(isinstance(value, str) for value in answer.values()):
        return None
    return answer


def _charset(octets: bytes) -> str:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return "cp949"
    return "utf-8-sig" if _MARK in octets else "utf-8"  # the codec that drops the mark is ten times slower


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice")
    return members


def read_return(
    account: Account,
    form: Mapping[str, str],
    *,
    order_number: str,
    amount: int,
    table: CodeTable = codes.DEFAULT,
) -> ReturnResult:
    """Checks in the order of section 2.4. The result code is unsigned, so a failure is believed as it is."""
    code = form.get("AuthResultCode", "")
    if not _CODE.fullmatch(code):
        return Tampered("AuthResultCode is missing or not a code")
    if code != codes.AUTHENTICATED:
        return _failed_return(account, form, code, order_number, table)
    given = {name: form.get(name, "") for name in ("AuthToken", "TxTid", "Amt", "Signature")}
    expected = hashes.authentication(account, token=given["AuthToken"], amount=given["Amt"])
    if not hashes.equal(expected, given["Signature"]):
        return Tampered("the Signature is wrong")
    if _amount(given["Amt"]) != amount:
        return Tampered("Amt is not the amount of the order")
    if (form.get("MID"), form.get("Moid")) != (account.merchant_id, order_number):
        return Tampered("MID or Moid is not the one of the order")
    if not (_REFERENCE.fullmatch(given["AuthToken"]) and _REFERENCE.fullmatch(given["TxTid"])):
        return Tampered("AuthToken or TxTid is missing")
    approve_url, net_cancel_url = form.get("NextAppURL", ""), form.get("NetCancelURL", "")
    settings = settings_of(account)
    if not (settings.allows(approve_url, APPROVAL_PATH) and settings.allows(net_cancel_url, CANCEL_PATH)):
        return Declined(
            ours.PROVIDER_SETTINGS,
            provider_code=code,
            provider_text="NextAppURL or NetCancelURL is outside the account's api_hosts",
            alarm=True,
        )
    return Authenticated(given["TxTid"], given["AuthToken"], approve_url, net_cancel_url)


def _failed_return(
    account: Account, form: Mapping[str, str], code: str, order_number: str, table: CodeTable
) -> ReturnResult:
    """No approval was asked for, so a code that would be unclear after one means: nothing charged."""
    of_another = (
        form.get("MID", account.merchant_id) != account.merchant_id
        or form.get("Moid", order_number) != order_number
    )
    if of_another:
        return Tampered("MID or Moid is not the one of the order")
    verdict = table.of_sale(code)
    return Declined(
        code=ours.TIMED_OUT if verdict.unclear else verdict.code,
        provider_code=code,
        provider_text=shown(form.get("AuthResultMsg", "")),
        alarm=verdict.alarm,
    )


def read_approval(
    account: Account,
    answer: Mapping[str, str],
    *,
    reference: str,
    order_number: str,
    table: CodeTable = codes.DEFAULT,
) -> Outcome:
    """3001 counts only if it is signed and speaks of our MID, Moid and TID; the amount is as booked."""
    code = answer.get("ResultCode", "")
    if code != codes.APPROVED:
        return _refusal(answer, code, table.of_sale(code))
    if not _is_signed(account, answer, "Amt"):
        return Unanswered("approved, but without a valid Signature", code, alarm=True)
    expected = (account.merchant_id, order_number, reference)
    if expected != (answer.get("MID"), answer.get("Moid"), answer.get("TID")):
        return Unanswered("approved, but MID, Moid or TID is not ours", code, alarm=True)
    amount = _amount(answer.get("Amt", ""))
    if amount is None:
        return Unanswered("approved, but Amt cannot be read", code, alarm=True)
    return Approved(amount, reference, _details(answer, _APPROVAL_DETAILS))


def read_cancel(account: Account, answer: Mapping[str, str], *, table: CodeTable = codes.DEFAULT) -> Outcome:
    """2001 and 2211 count only if signed; `reference` is the TID as returned, maybe a new one (N-14)."""
    code = answer.get("ResultCode", "")
    if code not in codes.CANCELLED:
        return _refusal(answer, code, table.of_cancel(code))
    flaw, amount = _cancel_flaw(account, answer), _amount(answer.get("CancelAmt", ""))
    if flaw or amount is None:
        return Unanswered(f"cancelled, but {flaw or 'CancelAmt cannot be read'}", code, alarm=True)
    left = _amount(answer.get("RemainAmt", ""))
    return Approved(amount, answer.get("TID", ""), _details(answer, _CANCEL_DETAILS), left)


def read_net_cancel(account: Account, answer: Mapping[str, str], *, reference: str, amount: int) -> Undone:
    """What the net cancel of one approval achieved; only our own TID and amount count as cancelled (N-10)."""
    code = answer.get("ResultCode", "")
    if code in codes.CANCELLED:
        same = answer.get("TID") == reference and _amount(answer.get("CancelAmt", "")) == amount
        return Undone.CANCELLED if same and not _cancel_flaw(account, answer) else Undone.UNCLEAR
    if code in codes.NET_CANCEL_ALREADY:
        return Undone.ALREADY
    return {
        codes.NET_CANCEL_NOTHING: Undone.NOTHING,
        codes.NET_CANCEL_WINDOW_OVER: Undone.WINDOW_OVER,
    }.get(code, Undone.UNCLEAR)


def read_inquiry(answer: Mapping[str, str], *, reference: str) -> Standing:
    """What NICEPAY's books say of a TID; there is no amount and no signature in it (section 6)."""
    if answer.get("ResultCode") != codes.INQUIRY_OK or answer.get("TID") != reference:
        return Standing.UNCLEAR
    standings = {"0": Standing.APPROVED, "1": Standing.CANCELLED, "9": Standing.ABSENT}
    return standings.get(answer.get("Status", ""), Standing.UNCLEAR)


def read_notice(form: Mapping[str, str]) -> Notice | None:
    """The unsigned notice of section 7; its casing of MOID differs from every other message."""
    amount = _amount(form.get("Amt", ""))
    reference, moid, state = (form.get(name, "") for name in ("TID", "MOID", "StateCd"))
    if amount is None or not _REFERENCE.fullmatch(reference) or not moid or state not in ("0", "1", "2"):
        return None
    return Notice(
        merchant_id=shown(form.get("MID", "")),
        reference=reference,
        moid=shown(moid),
        amount=amount,
        cancelled=state != "0",
        cancel_moid=shown(form.get("CancelMOID", "")),
    )


def _refusal(answer: Mapping[str, str], code: str, verdict: codes.Verdict) -> Declined | Unanswered:
    """Failures are judged by their code; they need no Signature (N-9)."""
    if not _CODE.fullmatch(code):
        return Unanswered("the answer has no ResultCode")
    text = shown(answer.get("ResultMsg", ""))
    if verdict.unclear:
        return Unanswered(text or "NICEPAY does not know", code, may_repeat=code == codes.CANCEL_AGAIN)
    return Declined(verdict.code, code, text, verdict.alarm, already_done=code == codes.ALREADY_CANCELLED)


def _cancel_flaw(account: Account, answer: Mapping[str, str]) -> str:
    """Why a successful cancel is not to be believed; empty when it is."""
    if answer.get("MID") != account.merchant_id:
        return "MID is not ours"
    if not _REFERENCE.fullmatch(answer.get("TID", "")):
        return "TID is missing"
    if not answer.get("Signature") and settings_of(account).accept_unsigned_cancels:
        return ""
    return "" if _is_signed(account, answer, "CancelAmt") else "without a valid Signature"


def _is_signed(account: Account, answer: Mapping[str, str], amount_name: str) -> bool:
    reference, amount = answer.get("TID", ""), answer.get(amount_name, "")
    expected = hashes.answer(account, reference=reference, amount=amount)
    return hashes.equal(expected, answer.get("Signature", ""))


def _amount(text: str) -> int | None:
    """Whole won out of digits, padded or not (N-18)."""
    return int(text) if _AMOUNT.fullmatch(text) else None


def _details(answer: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    kept = {name: shown(answer[name]) for name in names if answer.get(name)}
    if "CardNo" in kept:  # masked by NICEPAY already; a whole card number must never reach our database
        kept["CardNo"] = _WHOLE_CARD_NUMBER.sub(r"\1****\2", kept["CardNo"])
    return kept


def shown(text: str) -> str:
    """A foreign text for people's eyes and the database: no control characters, at most 200 characters."""
    start = text[:_TEXT_MAX]
    return start if start.isprintable() else "".join(char for char in start if char.isprintable())
