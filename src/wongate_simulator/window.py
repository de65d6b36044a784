"""Opening the payment window, without its looks: what is refused, and what the books keep of it.

The page and `/control/pay` both come through here, so a payer without a browser meets the same refusals.
"""

import json
import re
import secrets
from collections.abc import Mapping

from wongate_simulator import hashing
from wongate_simulator.books import DuplicateMoid
from wongate_simulator.clock import read_edi_date
from wongate_simulator.codes import Refused
from wongate_simulator.connections import origin_of
from wongate_simulator.exchanges import Exchange
from wongate_simulator.faults import Fault
from wongate_simulator.forms import unescape_script
from wongate_simulator.hashing import Hint
from wongate_simulator.merchants import Merchant
from wongate_simulator.records import Payment
from wongate_simulator.simulator import Simulator

REQUIRED = ("GoodsName", "Amt", "MID", "EdiDate", "Moid", "SignData", "PayMethod")
ECHOED = (
    "GoodsName",
    "BuyerName",
    "BuyerTel",
    "BuyerEmail",
    "MallUserID",
    "ReqReserved",
    "MallReserved",
    "CharSet",
    "NpLang",
)
# The PC script sends these a second time as Enc*, so that they survive any form charset (nicepay 1.5).
ESCAPED = ("GoodsName", "BuyerName")
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
        **{name: fields[name] for name in ECHOED if name in fields},
        **{name: unescape_script(fields[f"Enc{name}"]) for name in ESCAPED if fields.get(f"Enc{name}")},
        "return_url": return_url,
        "base_url": base_url,
        "embedder": embedder,
        "direct": "Y" if is_direct(fields) else "N",
    }
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
        exchange.hints += sim.explain("a", fields, merchant)
        raise Refused("W007")
    return merchant


def _checked_return_url(fields: Mapping[str, str]) -> str:
    """NICEPAY documents ReturnURL, the source document sends ReturnUrl; both are read here (N-2)."""
    url = fields.get("ReturnURL") or fields.get("ReturnUrl") or ""
    if not url:
        raise Refused("W100")
    if not origin_of(url):
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


def note_fault(sim: Simulator, fields: Mapping[str, str], fault: Fault) -> None:
    """Logs that a fault struck the opening of a window."""
    moid, mid = fields.get("Moid", ""), fields.get("MID", "")
    request = dict(fields)
    exchange = Exchange(
        "window", sim.clock.now(), mid, moid, request=request, verdict=fault.kind, fault=fault.kind
    )
    sim.exchanges.add(exchange)
