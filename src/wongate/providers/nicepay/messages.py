"""What we say to NICEPAY: order numbers, the payment window's form, and the four calls (sections 1, 3-6).

Pure: builds and signs. What comes back is read in `answers`; an account's settings are explained in
`accounts`.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from math import floor

from wongate.domain.account import Account
from wongate.domain.outcome import Authenticated, Bridge, Form
from wongate.providers.nicepay import hashes
from wongate.providers.nicepay.accounts import settings_of

_SCRIPT_URL = "https://pg-web.nicepay.co.kr/v3/common/js/nicepay-pgweb.js"
KST = timezone(timedelta(hours=9), "KST")
_ANSWER_FORMAT = {"CharSet": "utf-8", "EdiType": "JSON"}  # else NICEPAY answers in EUC-KR (N-21)
_OWN_ORDER = re.compile(r"([1-9][0-9]{0,17})W([1-9][0-9]{0,17})(?:N[1-9][0-9]{0,2})?")
_GOODS_NAME_MAX = 40  # bytes
_NOT_IN_GOODS_NAME = re.compile(r'[^ -~]|[%&|$\-+=\[\]";]')
_CANCEL_MESSAGE_MAX = 100  # bytes


def order_number(account: Account, project_id: int, operation_id: int, window_no: int = 1) -> str:
    """The Moid of a sale: `<prefix><project>W<operation>`, letters and digits only, as Payco needs it (N-24).

    No window opens under a used Moid (W005), so further windows of the sale append `N<window_no>`.
    """
    further = f"N{window_no}" if window_no > 1 else ""
    return f"{settings_of(account).moid_prefix}{project_id}W{operation_id}{further}"


def owner_of(account: Account, order_number: str) -> tuple[int, int] | None:
    """The (project_id, operation_id) in a Moid of ours."""
    prefix = settings_of(account).moid_prefix
    own = _OWN_ORDER.fullmatch(order_number.removeprefix(prefix))
    if own is None or not order_number.startswith(prefix):
        return None
    return int(own[1]), int(own[2])


def cancel_order_number(account: Account, order_number: str, cancel_number: int) -> str:
    """The Moid of a cancel: of its own, or the sale's where the account says so (N-24)."""
    own = not settings_of(account).original_moid_on_cancel
    return f"{order_number}R{cancel_number}" if own else order_number


def window(
    account: Account,
    *,
    order_number: str,
    amount: int,
    description: str,
    return_url: str,
    bridge_url: str,
    at: datetime,
) -> Form:
    """The source document's 14 members in its order, then `ReturnURL`, the spelling NICEPAY reads (N-2)."""
    settings = settings_of(account)
    edi_date = _edi_date(at)
    body = {
        "MID": account.merchant_id,
        "EdiDate": edi_date,
        "Moid": order_number,
        "CharSet": "utf-8",
        "Amt": str(amount),
        "GoodsName": goods_name(description, order_number),
        "DirectShowOpt": "CARD",
        "NicepayReserved": "DirectPayco=Y",
        "PayMethod": "CARD",
        "ReturnUrl": return_url,
        "NpDirectYn": "Y",
        "NpDirectLayer": "Y",
        "NpSvcType": "WEBSTD",
        "SignData": hashes.window(account, amount=str(amount), edi_date=edi_date),
        "ReturnURL": return_url,
        **_tax_parts(account, amount),
    }
    return Form(url=bridge_url if settings.bridge else settings.window_url, body=body)


def is_own_window(account: Account, form: Mapping[str, str], *, order_number: str, amount: int) -> bool:
    """Whether the form is ours for this sale; Moid is compared too, because SignData does not cover it."""
    named = (form.get("MID"), form.get("Moid"), form.get("Amt"))
    signature = hashes.window(account, amount=str(amount), edi_date=form.get("EdiDate", ""))
    return named == (account.merchant_id, order_number, str(amount)) and hashes.equal(
        signature, form.get("SignData", "")
    )


def bridge(account: Account) -> Bridge:
    """NICEPAY's script puts the window as a layer over our page; phones get the form itself, which it reads as EUC-KR
    (sections 1.1, 1.6)."""
    return Bridge(
        script_url=_SCRIPT_URL,
        window_url=settings_of(account).window_url,
        charset="euc-kr",
        origins=("https://*.nicepay.co.kr",),
    )


def approval_request(
    account: Account, authenticated: Authenticated, *, amount: int, at: datetime
) -> dict[str, str]:
    """The call that takes the money (section 3)."""
    edi_date = _edi_date(at)
    return {
        "TID": authenticated.reference,
        "AuthToken": authenticated.token,
        "MID": account.merchant_id,
        "Amt": str(amount),
        "EdiDate": edi_date,
        "SignData": hashes.approval(
            account, token=authenticated.token, amount=str(amount), edi_date=edi_date
        ),
        **_ANSWER_FORMAT,
    }


def net_cancel_request(
    account: Account, authenticated: Authenticated, *, amount: int, at: datetime
) -> dict[str, str]:
    """The call that takes an approval back; signed like the approval, not like a cancel (section 4)."""
    return approval_request(account, authenticated, amount=amount, at=at) | {"NetCancel": "1"}


def cancel_request(
    account: Account,
    reference: str,
    *,
    order_number: str,
    cancel_number: int,
    amount: int,
    whole: bool,
    reason: str,
    at: datetime,
) -> dict[str, str | bytes]:
    """A refund, always by the TID of the approval (section 5, N-14)."""
    edi_date = _edi_date(at)
    return {
        "TID": reference,
        "MID": account.merchant_id,
        "Moid": cancel_order_number(account, order_number, cancel_number),
        "CancelAmt": str(amount),
        "CancelMsg": cancel_message(reason),
        "PartialCancelCode": "0" if whole else "1",
        "EdiDate": edi_date,
        "SignData": hashes.cancel(account, amount=str(amount), edi_date=edi_date),
        **_tax_parts(account, amount),
        **_ANSWER_FORMAT,
    }


def inquiry_request(account: Account, reference: str, *, at: datetime) -> dict[str, str]:
    """Asks what became of a TID (section 6)."""
    edi_date = _edi_date(at)
    return {
        "TID": reference,
        "MID": account.merchant_id,
        "EdiDate": edi_date,
        "SignData": hashes.inquiry(account, reference=reference, edi_date=edi_date),
        **_ANSWER_FORMAT,
    }


def goods_name(description: str, order_number: str) -> str:
    """The order's title as the window can show it: printable ASCII, at most 40 bytes, never empty (N-5)."""
    kept = _NOT_IN_GOODS_NAME.sub("", description)
    title = " ".join(kept.split()) or f"Order {order_number}"
    return title[:_GOODS_NAME_MAX].rstrip()


def cancel_message(reason: str) -> bytes:
    """The reason in EUC-KR, which NICEPAY reads here whatever `CharSet` says (N-21)."""
    printable = " ".join("".join(char for char in reason if char.isprintable() or char.isspace()).split())
    octets = printable.encode("euc-kr", "ignore")[:_CANCEL_MESSAGE_MAX]
    whole = octets.decode("euc-kr", "ignore").strip()  # the cut may have halved the last syllable
    return whole.encode("euc-kr") or b"refund"


def _edi_date(at: datetime) -> str:
    return _edi_second(floor(at.timestamp()))


@lru_cache(maxsize=64)
def _edi_second(second: int) -> str:
    return datetime.fromtimestamp(second, KST).strftime("%Y%m%d%H%M%S")


def _tax_parts(account: Account, amount: int) -> dict[str, str]:
    """VAT of 10 % contained in the amount, where the account has to state it (N-25)."""
    if not settings_of(account).tax:
        return {}
    vat = amount // 11
    return {
        "SupplyAmt": str(amount - vat),
        "GoodsVat": str(vat),
        "ServiceAmt": "0",
        "TaxFreeAmt": "0",
    }
