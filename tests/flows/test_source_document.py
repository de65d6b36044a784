"""The five callbacks of the source document, as the whole platform sends them: same members, same types, same order."""

import json
from typing import Any

from tests.world import OpenWorld

SALE = """{"project_id": 1234, "payment": {"id": "ABC123", "type": "purchase", "status": "success",
    "date": "2020-12-10T10:44:49+0000", "method": "payco", "sum": {"amount": 1000, "currency": "KRW"}, "description": ""},
    "customer": {"id": "customer1"},
    "operation": {"id": 123, "type": "sale", "status": "success", "date": "2020-12-10T10:44:49+0000",
        "created_date": "2020-12-10T10:44:41+0000", "request_id": "46d13cf06a05f023ab53dd2d3d5c266a31c537a7-bd729b81...0001",
        "sum_initial": {"amount": 1000, "currency": "KRW"}, "sum_converted": {"amount": 1000, "currency": "KRW"},
        "code": "0", "message": "Success", "provider": {"id": 12345, "payment_id": "ABC12345", "auth_code": ""}},
    "signature": "Q8ccLF2ERNK0fbnnVil8NPh8vx83gF4aift64dN/dwyHkQIT2QN...Zr3OQ=="}"""
REDIRECT_DATA = """{"body": {"MID": "ABC123", "EdiDate": "20201211174138", "Moid": "2", "CharSet": "utf-8", "Amt": "1000",
    "GoodsName": "Test sale", "DirectShowOpt": "CARD", "NicepayReserved": "DirectPayco=Y", "PayMethod": "CARD",
    "ReturnUrl": "http://example.test.com/example/callback", "NpDirectYn": "Y", "NpDirectLayer": "Y",
    "NpSvcType": "WEBSTD", "SignData": "9f2d0df0d2aaa528fb0e14fa7de408b5b...6aaa4"},
    "method": "POST", "url": "http://example.test/"}"""
SAME_EVERYWHERE = (
    "CharSet",
    "DirectShowOpt",
    "NicepayReserved",
    "PayMethod",
    "NpDirectYn",
    "NpDirectLayer",
    "NpSvcType",
)


def shape(value: Any) -> Any:
    """Members, their order and their types: what a parser sees."""
    if isinstance(value, dict):
        return [(name, shape(item)) for name, item in value.items()]
    return type(value).__name__


def words(body: dict[str, Any]) -> dict[str, Any]:
    """What the source document's examples say apart from ids, dates and signatures."""
    payment, operation = body["payment"], body["operation"]
    return {
        "payment": {name: payment[name] for name in ("type", "status", "method", "sum", "description")},
        "operation": {
            name: operation[name]
            for name in ("type", "status", "sum_initial", "sum_converted", "code", "message")
        },
        "customer": body["customer"],
        "auth_code": operation["provider"]["auth_code"],
    }


def expected(status: str, kind: str, outcome: str, left: int, description: str) -> dict[str, Any]:
    code, message = {"success": ("0", "Success"), "decline": ("20000", "General decline")}[outcome]
    thousand = {"amount": 1000, "currency": "KRW"}
    return {
        "payment": {
            "type": "purchase",
            "status": status,
            "method": "payco",
            "sum": {"amount": left, "currency": "KRW"},
            "description": description,
        },
        "operation": {
            "type": kind,
            "status": outcome,
            "sum_initial": thousand,
            "sum_converted": thousand,
            "code": code,
            "message": message,
        },
        "customer": {"id": "customer1"},
        "auth_code": "",
    }


async def test_success_decline_refund_and_declined_refund_are_those_of_the_source_document(
    open_world: OpenWorld,
):
    async with open_world() as world:
        paid, declined, kept = await world.paid_sale(), await world.sale(), await world.paid_sale()
        await declined.pay({"outcome": "fail", "code": "3095"})
        await paid.refund()
        await kept.fault("cancel", "code", code="9999")
        await kept.refund()
        await world.work()
        found = {
            "success": (await paid.callbacks())[1],
            "decline": (await declined.callbacks())[1],
            "refund": (await paid.callbacks())[2],
            "declined refund": (await kept.callbacks())[2],
        }
        assert {
            "success": expected("success", "sale", "success", 1000, ""),
            "decline": expected("decline", "sale", "decline", 1000, ""),
            "refund": expected("refunded", "refund", "success", 0, "refund"),
            "declined refund": expected("success", "refund", "decline", 1000, "refund"),
        } == {name: words(body) for name, body in found.items()}
        assert [shape(json.loads(SALE))] * 4 == [shape(body) for body in found.values()]
        for name, body in found.items():
            assert body["payment"]["date"] == body["operation"]["date"]
            assert (name == "success") == (body["operation"]["provider"]["payment_id"] != "")


async def test_the_redirect_data_is_that_of_the_source_document(open_world: OpenWorld):
    """Its 14 members in its order, then `ReturnURL`, the spelling that NICEPAY reads (N-2)."""
    async with open_world() as world:
        sale = await world.sale(payment__description="Test sale")
        body = (await sale.callbacks())[0]
        documented = json.loads(REDIRECT_DATA)
        form = body["redirect_data"]
        assert form["body"].pop("ReturnURL") == form["body"]["ReturnUrl"]
        assert shape(documented) == shape(form)
        same = (*SAME_EVERYWHERE, "Amt", "GoodsName")
        assert {name: documented["body"][name] for name in same} == {
            name: form["body"][name] for name in same
        }
        assert ("POST", f"{world.simulator.url}/v3/v3Payment.jsp") == (form["method"], form["url"])
        members = ["project_id", "payment", "customer", "operation", "redirect_data", "signature"]
        assert members == list(body)
