"""What the three server calls share: checked fields, the call at hand, and how an answer comes to be."""

from dataclasses import dataclass, field

from wongate_simulator import hashing
from wongate_simulator.clock import read_edi_date
from wongate_simulator.codes import Refused
from wongate_simulator.exchanges import Exchange
from wongate_simulator.faults import Fault
from wongate_simulator.forms import Form
from wongate_simulator.merchants import Merchant
from wongate_simulator.records import Payment
from wongate_simulator.simulator import Simulator


@dataclass(slots=True)
class Call:
    """One server call while it is being answered."""

    kind: str
    form: Form
    exchange: Exchange
    payment: Payment | None = None  # the one that the token or TID names, whoever asks
    fault: Fault | None = None
    fields: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.fields = self.form.fields

    def get(self, name: str) -> str:
        return self.fields.get(name, "")

    def amount_text(self, amount: int) -> str:
        """Padded to 12 as NICEPAY does (N-18), unless the fault switch says otherwise."""
        return str(amount) if self.fault and self.fault.kind == "unpadded" else f"{amount:012d}"


def checked_merchant(sim: Simulator, call: Call, formula: str, required: tuple[str, ...]) -> Merchant:
    """The caller, once its request is complete and its hash right. Raises Refused in NICEPAY's order."""
    if call.form.repeated:
        raise Refused("A227", ", ".join(call.form.repeated))
    if missing := [name for name in required if not call.get(name)]:
        raise Refused("A117", ", ".join(missing))
    merchant = sim.merchants.get(call.get("MID"))
    if merchant is None:
        raise Refused("A114", call.get("MID")[:10])
    if not merchant.key:
        raise Refused("A109", merchant.mid)
    call.exchange.formula = formula
    right = hashing.matches(formula, call.fields, merchant.key, call.get("SignData"))
    call.exchange.signature_ok = right
    if not right:
        call.exchange.hints += sim.explain(formula, call.fields, merchant)
        raise Refused(merchant.wrong_hash_code)
    if read_edi_date(call.get("EdiDate")) is None:
        raise Refused("A106", call.get("EdiDate")[:30])
    return merchant


def read_amount(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(text) > 12:
        raise Refused("A116", text[:20])
    return int(text)


def sign_answer(
    answer: dict[str, str], formula: str, merchant: Merchant | None, wanted: bool
) -> dict[str, str]:
    """Fills in Signature over the amounts as they stand in the answer; without `wanted` it stays empty (N-9)."""
    if wanted and merchant and merchant.key:
        answer["Signature"] = hashing.digest(formula, answer, merchant.key)
    return answer
