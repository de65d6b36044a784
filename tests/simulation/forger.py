"""Notices that the provider never wrote. They carry no signature, so the address they come from and an inquiry must do (N-16)."""

from random import Random
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from wongate_simulator.forms import write_form

if TYPE_CHECKING:
    from tests.simulation.world import World

STRANGER_IP = "203.0.113.66"


def forged(world: "World", draw: Random, real: bytes, provider_ip: str) -> tuple[bytes, str]:
    """A notice made from a real one, and the address that it claims to come from.

    In the provider's own name it speaks of approvals only: a cancel that is announced from there cannot be told from a true one.
    """
    fields = dict(parse_qsl(real.decode("ascii"), encoding="cp949", keep_blank_values=True))
    operations = world.postgres.fetch("SELECT * FROM operation ORDER BY operation_id")
    chosen, other = draw.choice(operations), draw.choice(operations)
    fields |= {"MOID": chosen["order_number"], "Amt": str(chosen["amount"])}
    fields["TID"] = draw.choice((chosen["reference"], other["reference"], "wongate01m01012603021200990000"))
    from_stranger = draw.random() < 0.5
    if from_stranger and draw.random() < 0.7:
        cancel = f"{chosen['order_number']}R{chosen['operation_id']}"
        fields |= {"StateCd": "1", "ResultCode": "2001", "CancelMOID": cancel}
    else:
        fields |= {"StateCd": "0", "ResultCode": "3001", "CancelMOID": ""}
    return write_form(list(fields.items()), "euc-kr"), STRANGER_IP if from_stranger else provider_ip
