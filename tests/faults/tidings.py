"""What the merchant is told of a payment, and what the provider tells of one: read and written as tests need it."""

from typing import Any
from urllib.parse import urlencode

from tests.world import MID, Sale, World, ask

SENDER = "121.133.126.10"
LISTED = {"notice_ips": [SENDER]}
QUICK = {"connect_s": 0.5, "read_s": 0.3}


async def ends(sale: Sale) -> list[tuple[str, str]]:
    """Status and code of every refund, sorted."""
    return sorted(
        (operation["status"], operation["code"])
        for operation in (await sale.status())["operations"]
        if operation["type"] == "refund"
    )


async def statuses(sale: Sale) -> list[str]:
    """Payment statuses that the merchant was told, in order."""
    return [body["payment"]["status"] for body in await sale.callbacks()]


async def notify(world: World, books: dict[str, Any], **changes: str) -> tuple[int, bytes]:
    """A provider's notice about a transaction as its books have it."""
    fields = {
        "PayMethod": "CARD",
        "MID": MID,
        "TID": books["tid"],
        "MOID": books["moid"],
        "Amt": str(books["amount"]),
        "StateCd": "0",
        "ResultCode": "3001",
        "CancelMOID": "",
        **changes,
    }
    answer = await ask(world.app, "POST", "/notice/nicepay", urlencode(fields).encode(), client=(SENDER, 1))
    return answer.status, answer.raw


def cancel_notice(cancel: dict[str, Any]) -> dict[str, str]:
    return {"StateCd": "1", "CancelMOID": cancel["CancelMOID"], "Amt": str(cancel["amount"])}
