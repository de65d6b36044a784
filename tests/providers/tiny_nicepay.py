"""A NICEPAY of one merchant in 150 lines, written from the protocol and sharing nothing with the platform.

It knows the happy way and breaks any answer on demand, byte by byte.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from tests.providers.suite import Fault

MID = "tinytest0m"
KEY = "dGlueS1uaWNlcGF5LWtleQ=="


def sha(*texts: str) -> str:
    return hashlib.sha256("".join(texts).encode()).hexdigest()


@dataclass
class Payment:
    tid: str
    moid: str
    amount: int
    state: str = "authenticated"
    left: int = 0


@dataclass
class TinyNicepay:
    base_url: str = ""
    payments: dict[str, Payment] = field(default_factory=dict)  # by AuthToken
    faults: dict[str, Fault] = field(default_factory=dict)  # by call, for the next one of it

    def window(self, form: dict[str, str], pays: bool) -> bytes:
        """What the browser posts to the return URL, in EUC-KR."""
        assert form["SignData"] == sha(form["EdiDate"], MID, form["Amt"], KEY), "SignData of the window"
        token = f"NICETOKN{len(self.payments):032X}"
        payment = Payment(f"{MID}0101201211174205{len(self.payments):04}", form["Moid"], int(form["Amt"]))
        self.payments[token] = payment
        result = {
            "AuthResultCode": "0000" if pays else "I009",
            "AuthResultMsg": "인증 성공" if pays else "사용자 취소",
            "AuthToken": token,
            "MID": MID,
            "Moid": form["Moid"],
            "Amt": form["Amt"],
            "Signature": sha(token, MID, form["Amt"], KEY),
        }
        success = {
            "TxTid": payment.tid,
            "NextAppURL": f"{self.base_url}/webapi/pay_process.jsp",
            "NetCancelURL": f"{self.base_url}/webapi/cancel_process.jsp",
        }
        return urlencode(result | (success if pays else {}), encoding="euc-kr").encode()

    def approve(self, form: dict[str, str]) -> dict[str, str]:
        payment = self.payments[form["AuthToken"]]
        signed = sha(form["AuthToken"], MID, form["Amt"], form["EdiDate"], KEY)
        if signed != form["SignData"]:
            return {"ResultCode": "A211", "ResultMsg": "해쉬값 검증 실패"}
        if payment.state != "authenticated":
            return {"ResultCode": "1682", "ResultMsg": "동일 승인 성공건 존재"}
        payment.state, payment.left = "approved", payment.amount
        return self._success(payment, "3001", "카드 결제 성공", "Amt", payment.amount) | {
            "Moid": payment.moid
        }

    def net_cancel(self, form: dict[str, str]) -> dict[str, str]:
        payment = self.payments[form["AuthToken"]]
        signed = sha(form["AuthToken"], MID, form["Amt"], form["EdiDate"], KEY)
        if signed != form["SignData"]:
            return {"ResultCode": "A211", "ResultMsg": "해쉬값 검증 실패"}
        return self._take_back(payment, payment.amount, whole=True)

    def cancel(self, form: dict[str, str]) -> dict[str, str]:
        if sha(MID, form["CancelAmt"], form["EdiDate"], KEY) != form["SignData"]:
            return {"ResultCode": "A211", "ResultMsg": "해쉬값 검증 실패"}
        whole = form["PartialCancelCode"] == "0"
        return self._take_back(self._by_tid(form["TID"]), int(form["CancelAmt"]), whole)

    def inquiry(self, form: dict[str, str]) -> dict[str, str]:
        assert form["SignData"] == sha(form["TID"], MID, form["EdiDate"], KEY), "SignData of the inquiry"
        status = {"approved": "0", "cancelled": "1"}.get(self._by_tid(form["TID"]).state, "9")
        return {"ResultCode": "0000", "ResultMsg": "조회 성공", "TID": form["TID"], "Status": status}

    def _take_back(self, payment: Payment, amount: int, whole: bool) -> dict[str, str]:
        if payment.state == "authenticated":
            payment.state = "dead"
            return {"ResultCode": "2012", "ResultMsg": "해당거래없음"}
        if payment.state != "approved":
            return {"ResultCode": "2013", "ResultMsg": "기취소된 거래"}
        if amount > payment.left or (whole and amount != payment.left):
            return {"ResultCode": "2032", "ResultMsg": "취소가능금액 초과"}
        payment.left -= amount
        payment.state = "approved" if payment.left else "cancelled"
        return self._success(payment, "2001", "취소 성공", "CancelAmt", amount)

    def _success(
        self, payment: Payment, code: str, text: str, amount_name: str, amount: int
    ) -> dict[str, str]:
        padded = f"{amount:012}"
        return {
            "ResultCode": code,
            "ResultMsg": text,
            "MID": MID,
            "TID": payment.tid,
            amount_name: padded,
            "Signature": sha(payment.tid, MID, padded, KEY),
        }

    def _by_tid(self, tid: str) -> Payment:
        return next(payment for payment in self.payments.values() if payment.tid == tid)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of a connection, answered or broken."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next(
                int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-l")
            )
            body = await reader.readexactly(length)
            await self._answer(head.split()[1], body, writer)
        finally:
            writer.close()

    async def _answer(self, path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        form = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, encoding="euc-kr"))
        cancels = "net_cancel" if "NetCancel" in form else "cancel"
        call = {"pay_process": "approve", "cancel_process": cancels}.get(path[8:-4], "inquiry")
        fault = self.faults.pop(call, Fault("", True))
        answer = getattr(self, call)(form) if fault.applied else {}
        if fault.kind == "wrong_signature":
            answer["Signature"] = sha("wrong")
        if fault.kind == "silence":
            await asyncio.sleep(60)  # the client has given up long before
        if fault.kind != "cut":
            writer.write(_on_the_wire(answer, fault.kind))
            await writer.drain()


def _on_the_wire(answer: dict[str, str], fault: str) -> bytes:
    text = json.dumps(answer, ensure_ascii=False)
    body = {
        "html": b"<html><body>Service Unavailable</body></html>",
        "half": text.encode()[: len(text) // 2],
        "empty": b"",
        "bytes": bytes(range(128, 256)),
        "euc_kr": text.encode("euc-kr"),
    }.get(fault, text.encode())
    statuses = {
        "http_500": "500 Internal Server Error",
        "redirect": "307 Temporary Redirect\r\nLocation: /webapi/pay_process.jsp",
    }
    head = f"HTTP/1.1 {statuses.get(fault, '200 OK')}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@contextlib.asynccontextmanager
async def tiny_nicepay() -> AsyncIterator[TinyNicepay]:
    """Listens on a free port of this machine."""
    tiny = TinyNicepay()
    server = await asyncio.start_server(tiny.serve, "127.0.0.1", 0)
    tiny.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield tiny
    finally:
        server.close()
