"""The payment window without its looks: opening, the payer's choice, and the result that goes to the return URL.

The page and `/control/pay` both come through here, so a payer without a browser meets the same refusals.
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from wongate_simulator import hashing
from wongate_simulator.books import DuplicateMoid
from wongate_simulator.clock import read_edi_date
from wongate_simulator.codes import AUTHENTICATED as SUCCESS
from wongate_simulator.codes import Refused, text_of
from wongate_simulator.exchanges import Exchange
from wongate_simulator.faults import RESULT, WINDOW, Fault
from wongate_simulator.forms import is_utf_8, unescape_script
from wongate_simulator.hashing import Hint
from wongate_simulator.merchants import Merchant
from wongate_simulator.outcomes import Outcome
from wongate_simulator.records import OPENED, REFUSED, Payment
from wongate_simulator.simulator import Simulator

REQUIRED = ("GoodsName", "Amt", "MID", "EdiDate", "Moid", "SignData", "PayMethod")
ECHOED = (
    "BuyerName",
    "BuyerTel",
    "BuyerEmail",
    "MallUserID",
    "ReqReserved",
    "MallReserved",
    "CharSet",
    "NpLang",
)
# Documented lengths in bytes of the wire charset; NICEPAY's answer to longer values is unknown, so they only make a note.
LENGTHS = {
    "GoodsName": 40,
    "EdiDate": 30,
    "ReturnURL": 500,
    "BuyerName": 30,
    "BuyerTel": 20,
    "BuyerEmail": 60,
}
# Easy-pay partners take the Moid over as their own order number and may refuse other characters (nicepay 1.2).
GOOD_MOID = re.compile(r"[A-Za-z0-9_-]{1,64}")
AMOUNT_DIGITS = 12
EXPIRED = "W111"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One POST to the return URL: where, which fields in which order, in which charset."""

    url: str
    fields: list[tuple[str, str]]
    charset: str

    def public(self) -> dict[str, str]:
        return dict(self.fields)


def open_window(sim: Simulator, fields: Mapping[str, str], base_url: str, embedder: str = "") -> Payment:
    """A new payment, or `Refused`: then the return URL hears nothing and the books stay as they were.

    `base_url` is the simulator's own address as the payer sees it; `embedder` the origin of the page that sent the form.
    """
    exchange = Exchange("window", sim.clock.now(), request=dict(fields), formula="a")
    exchange.mid, exchange.moid = fields.get("MID", ""), fields.get("Moid", "")
    sim.exchanges.add(exchange)
    try:
        payment = _open(sim, fields, base_url, embedder, exchange)
    except Refused as refusal:
        exchange.verdict, exchange.text = refusal.code, refusal.text
        raise
    exchange.verdict, exchange.text = "opened", ""
    return payment


def _open(
    sim: Simulator, fields: Mapping[str, str], base_url: str, embedder: str, exchange: Exchange
) -> Payment:
    merchant = _checked_merchant(sim, fields, exchange)
    return_url = _checked_return_url(fields)
    amount = _checked_amount(fields["Amt"], merchant)
    _check_request(sim, fields, merchant)
    exchange.hints += notes_on(fields)
    asked = {
        "GoodsName": unescape_script(fields["EncGoodsName"])
        if fields.get("EncGoodsName")
        else fields["GoodsName"],
        **{name: fields[name] for name in ECHOED if name in fields},
        "return_url": return_url,
        "base_url": base_url,
        "embedder": embedder,
        "direct": "Y" if is_direct(fields) else "N",
    }
    if fields.get("EncBuyerName"):
        asked["BuyerName"] = unescape_script(fields["EncBuyerName"])
    now = sim.clock.now()
    token = f"NICETOKN{secrets.token_hex(16).upper()}"
    packed = json.dumps(asked, ensure_ascii=False)
    try:
        return sim.books.open(
            merchant.mid, fields["Moid"], amount, token, now, now + merchant.window_lifetime_s, packed
        )
    except DuplicateMoid as clash:
        raise Refused("W005", fields["Moid"]) from clash


def _checked_merchant(sim: Simulator, fields: Mapping[str, str], exchange: Exchange) -> Merchant:
    if missing := [name for name in REQUIRED if not fields.get(name)]:
        raise Refused("W008", ", ".join(missing))
    merchant = sim.merchants.get(fields["MID"])
    if merchant is None:
        raise Refused("V001", fields["MID"])
    if not merchant.key:
        raise Refused("W009", merchant.mid)
    exchange.signature_ok = hashing.matches("a", fields, merchant.key, fields["SignData"])
    if not exchange.signature_ok:
        exchange.hints += explain(sim, "a", fields, merchant)
        raise Refused("W007")
    return merchant


def explain(sim: Simulator, formula: str, fields: Mapping[str, str], merchant: Merchant) -> list[Hint]:
    keys = {other.mid: other.key for other in sim.merchants.values() if other.key}
    dates = set(sim.exchanges.edi_dates(fields.get("Moid", ""), fields.get("TID", "")))
    return hashing.why_wrong(formula, fields, merchant.key, fields.get("SignData", ""), keys, dates)


def _checked_return_url(fields: Mapping[str, str]) -> str:
    """NICEPAY documents ReturnURL, the source document sends ReturnUrl; both are read here (N-2)."""
    url = fields.get("ReturnURL") or fields.get("ReturnUrl") or ""
    if not url:
        raise Refused("W100")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise Refused("W100", url[:100])
    return url


def _checked_amount(text: str, merchant: Merchant) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > AMOUNT_DIGITS:
        raise Refused("W091", text[:20])
    if int(text) < merchant.min_amount:
        raise Refused("W090", f"{text} < {merchant.min_amount}")
    return int(text)


def _check_request(sim: Simulator, fields: Mapping[str, str], merchant: Merchant) -> None:
    if not GOOD_MOID.fullmatch(fields["Moid"]):
        raise Refused("W001", fields["Moid"][:64])
    moment = read_edi_date(fields["EdiDate"])
    tolerance_s = merchant.edi_date_tolerance_s
    if moment is None or (tolerance_s and abs(moment - sim.clock.now()) > tolerance_s):
        raise Refused("1623", fields["EdiDate"][:30])
    if fields["PayMethod"] != "CARD":
        raise Refused("W004", fields["PayMethod"][:20])


def notes_on(fields: Mapping[str, str]) -> list[Hint]:
    """What NICEPAY documents otherwise without a documented refusal: worth a word to the developer."""
    notes = [
        Hint("too_long", f"{name} {size} > {limit}")
        for name, limit in LENGTHS.items()
        if (size := len(fields.get(name, "").encode("cp949", "replace"))) > limit
    ]
    if "ReturnURL" not in fields:
        notes.append(Hint("return_url_spelling"))
    if fields.get("Amt", "").startswith("0"):
        notes.append(Hint("amount_padded"))
    return notes


def is_direct(fields: Mapping[str, str]) -> bool:
    """Whether Payco opens at once instead of the picker of methods (nicepay 1.2)."""
    shown = fields.get("DirectShowOpt", "").split("|")
    reserved = fields.get("NicepayReserved", "").split("|")
    one_method = "|" not in fields.get("PayMethod", "")
    return (
        one_method
        and fields.get("TransType") != "1"
        and fields["PayMethod"] in shown
        and "DirectPayco=Y" in reserved
    )


def choose(sim: Simulator, payment: Payment, outcome: Outcome) -> list[Delivery]:
    """The payer's choice: what goes to the return URL, in order; nothing for a window that is just closed.

    A second choice in the same window repeats the result of the first: a double click pays once.
    """
    if outcome.outcome == "abandon":
        return []
    if outcome.outcome == "expire":
        sim.books.expire(payment, sim.clock.now())
    payment = _ended(sim, payment, outcome)
    fault = sim.faults.take(WINDOW, RESULT, payment.moid, payment.tid or "")
    deliveries = _deliveries(sim, payment, outcome, fault)
    for delivery in deliveries:
        _log(sim, payment, delivery, fault)
    return deliveries


def _ended(sim: Simulator, payment: Payment, outcome: Outcome) -> Payment:
    now = sim.clock.now()
    if (payment.state == OPENED and now >= payment.expires_at) or outcome.outcome == "expire":
        sim.books.refuse(payment, EXPIRED)
    elif outcome.pays:
        _authenticate(sim, payment, outcome, now)
    else:
        sim.books.refuse(payment, "I009" if outcome.outcome == "cancel" else outcome.code or "C002")
    ended = sim.books.by_token(payment.auth_token)
    if ended is None:
        raise LookupError(payment.auth_token)  # the books were reset under the payer's hands
    return ended


def _authenticate(sim: Simulator, payment: Payment, outcome: Outcome, now: float) -> None:
    cc_part_cl = outcome.cc_part_cl or sim.merchants[payment.mid].cc_part_cl
    for _ in range(10_000):
        tid = sim.mint_tid(payment.mid)
        if sim.books.authenticate(payment, tid, outcome.outcome, cc_part_cl, outcome.quota, now) is not None:
            return
    raise OverflowError("10,000 payments within one second of the settable clock: move it on")


def _deliveries(sim: Simulator, payment: Payment, outcome: Outcome, fault: Fault | None) -> list[Delivery]:
    result = result_of(sim, payment, outcome.text, fault)
    if fault is None:
        return [result]
    if fault.kind == "duplicate_result":
        return [result, result]
    if fault.kind == "contradicting_result" and payment.tid:
        failure = result_of(sim, payment, "", fault, failing_with="I009")
        return [result, failure] if fault.first == "success" else [failure, result]
    return [result]


def result_of(
    sim: Simulator, payment: Payment, text: str = "", fault: Fault | None = None, failing_with: str = ""
) -> Delivery:
    """The result of a window that has ended, with the fields of the captured mobile result in its order (nicepay 2.1).

    Failures lack TxTid and both addresses.
    """
    asked = payment.asked()
    failed = failing_with or (payment.end_code if payment.state == REFUSED else "")
    code = failed or SUCCESS
    fields = {
        "AuthResultCode": code,
        "AuthResultMsg": text or text_of(code),
        "AuthToken": payment.auth_token,
        "PayMethod": "CARD",
        "MID": payment.mid,
        "Moid": payment.moid,
        "Amt": str(payment.amount),
        "ReqReserved": asked.get("ReqReserved", ""),
    }
    if not failed:
        host = fault.host if fault and fault.kind == "foreign_host" else asked["base_url"]
        fields["TxTid"] = payment.tid or ""
        fields["NextAppURL"] = f"{host}/webapi/pay_process.jsp"
        fields["NetCancelURL"] = f"{host}/webapi/cancel_process.jsp"
    merchant = sim.merchants[payment.mid]
    fields["Signature"] = hashing.digest("b", fields, merchant.key)
    charset = "utf-8" if is_utf_8(asked.get("CharSet", "")) else "euc-kr"
    if fault and fault.kind == "wrong_signature":
        fields["Signature"] = spoiled(fields["Signature"])
    if fault and fault.kind == "override":
        fields.update(fault.fields)
    if fault and fault.kind == "euc_kr":
        charset = "euc-kr"
    return Delivery(asked["return_url"], list(fields.items()), charset)


def spoiled(signature: str) -> str:
    """Another hash of the same look."""
    return signature[::-1] if signature != signature[::-1] else "0" * len(signature)


def _log(sim: Simulator, payment: Payment, delivery: Delivery, fault: Fault | None) -> None:
    answer = delivery.public()
    sim.exchanges.add(
        Exchange(
            "result",
            sim.clock.now(),
            mid=payment.mid,
            moid=payment.moid,
            tid=payment.tid or "",
            formula="b",
            verdict=answer.get("AuthResultCode", ""),
            text=answer.get("AuthResultMsg", ""),
            answer=answer,
            fault=fault.kind if fault else "",
        )
    )


def note_fault(sim: Simulator, fields: Mapping[str, str], fault: Fault) -> None:
    """Logs that a fault struck the opening of a window."""
    moid, mid = fields.get("Moid", ""), fields.get("MID", "")
    request = dict(fields)
    exchange = Exchange(
        "window", sim.clock.now(), mid, moid, request=request, verdict=fault.kind, fault=fault.kind
    )
    sim.exchanges.add(exchange)
