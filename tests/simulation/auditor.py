"""What went over the wires, judged at once and kept for the end.

Shares no code with the platform: signatures, schedules and rules are written a second time here, and the database is read with
SQL of its own (`books.py`).
"""

import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import asyncpg
from tests.simulation import signatures
from tests.simulation.merchant import REFUND_PATH, SALE_PATH, SECRET
from tests.simulation.provider import KEY, kind_of

from wongate.connections.database import Unavailable

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

DASHBOARD, PAGE = "dashboard", "page"
TOLERATED = (
    Unavailable,
    asyncpg.PostgresConnectionError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
)
"""What a lost connection may end in; whatever was under way is found again."""


@dataclass
class Accepted:
    """An answer that left the platform and promised something (I7)."""

    path: str
    body: bytes
    request_id: str
    at_s: float


@dataclass
class Sends:
    """All sends of one callback to one address."""

    body: bytes
    began_s: list[float] = field(default_factory=list)
    ended_s: list[float] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)


class Auditor:
    def __init__(self, world: "World") -> None:
        self._world = world
        self.violations: list[str] = []
        self.requests: set[bytes] = set()  # as the shop sent them
        self.accepted: list[Accepted] = []
        self.approvals_sent: dict[str, list[float]] = defaultdict(list)  # by TID, as they left the platform
        self.cancels_sent: Counter[str] = Counter()  # by the cancel's order number
        self.approved: dict[str, int] = {}  # by TID: what an approval's answer said, if it was rightly signed
        self.unsigned: set[str] = set()
        self.sends: dict[tuple[str, str], Sends] = {}  # by address and callback
        self.received: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.notices_taken: set[tuple[str, str]] = (
            set()
        )  # TID and cancel's order number that the platform answered with OK
        self.ended: dict[
            int, tuple[str, int]
        ] = {}  # callbacks that have come to their end: state and attempt
        self.resent: set[int] = set()  # callbacks that somebody has asked for once more
        self.refused: Counter[int] = Counter()

    def violated(self, rule: str, text: str) -> None:
        self.violations.append(f"{rule}: {text}")
        self._world.tell("auditor", f"VIOLATION {rule}: {text}")

    # --- the platform's own health ------------------------------------------------------------------------------------------

    def broke(self, process: "Process", path: str, error: BaseException) -> None:
        if not isinstance(error, TOLERATED):
            self.violated("no 5xx", f"{process.name} {path.split('/')[1]}: {error!r}")

    def duty_failed(self, process: "Process", duty: str, error: BaseException) -> None:
        if not isinstance(error, TOLERATED):
            self.violated("duties go on", f"{process.name} {duty}: {error!r}")

    def logged(self, record: logging.LogRecord) -> None:
        """A step that the platform itself calls broken."""
        error = record.exc_info[1] if record.exc_info else None
        if record.levelno >= logging.ERROR and error is not None and not isinstance(error, TOLERATED):
            self.violated("no step breaks", f"{record.getMessage()}: {error!r}")

    # --- Gate ---------------------------------------------------------------------------------------------------------------

    def asked(self, path: str, body: bytes) -> None:
        self.requests.add(body)
        self._world.tell("merchant", f"asks {path} {hashlib.sha256(body).hexdigest()[:12]}")

    def answered(self, process: "Process", path: str, body: bytes, status: int, content: bytes) -> None:
        """An answer has left; what it promises must be there whatever happens now."""
        self._world.tell(process.name, f"answers {path.split('/')[1]} {status}")
        self.refused[status] += status >= 400
        if status >= 500 and status != 503:
            self.violated("no 5xx", f"{process.name} answered {status} on {path}")
        if status != 200 or path not in (SALE_PATH, REFUND_PATH):
            return
        if body not in self.requests:
            self.violated("signatures", f"{path} accepted a body that nobody sent like this")
            return
        answer = json.loads(content)
        self.accepted.append(Accepted(path, body, answer["request_id"], self._world.loop.time()))
        if path == REFUND_PATH and json.loads(body)["payment"].get("amount", 1) <= 0:
            self.violated("I1", "a refund that is not positive was accepted")

    def pressed(self, form_key: str, request_id: str) -> None:
        """A refund that the Dashboard says it has begun; a form that is sent twice is one refund (E-31)."""
        self.accepted.append(Accepted(DASHBOARD, form_key.encode(), request_id, self._world.loop.time()))

    def handed_over(self, request_id: str, order_number: str, payment_id: str) -> None:
        """The Payment Page has sent its payer to the window: the sale behind it is there, and only one of them at a time."""
        self.accepted.append(Accepted(PAGE, order_number.encode(), request_id, self._world.loop.time()))
        self._world.tell("payer", f"is handed over for {payment_id}")

    # --- the provider ---------------------------------------------------------------------------------------------------------

    def calls_provider(self, process: "Process", url: str, body: bytes) -> None:
        fields = dict(parse_qsl(body.decode("ascii"), encoding="cp949", keep_blank_values=True))
        kind = kind_of(urlsplit(url).path, fields)
        digest = hashlib.sha256(body).hexdigest()[:12]
        self._world.tell(process.name, f"calls {kind} {fields['TID']} {digest}")
        self._world.count(f"call {kind}")
        if fields["SignData"] != signatures.of_request(kind, fields, KEY):
            self.violated("signatures", f"SignData of a {kind} is wrong")
        if kind == "cancel":
            self.cancels_sent[fields["Moid"]] += 1
        if kind == "approve":
            self.approvals_sent[fields["TID"]].append(self._world.loop.time())
            if len(self.approvals_sent[fields["TID"]]) > 1:
                self.violated("I2", f"the approval of {fields['TID']} was sent again")

    def provider_answered(self, kind: str, fields: Mapping[str, str], status: int, content: bytes) -> None:
        """As the provider wrote it, before anything happens to it on its way."""
        self._world.tell("provider", f"{kind} {fields.get('TID')} {hashlib.sha256(content).hexdigest()[:12]}")
        if kind != "approve" or status != 200 or not content.startswith(b"{"):
            return
        try:
            answer = json.loads(content)
        except UnicodeDecodeError:
            answer = json.loads(content.decode("cp949"))
        except ValueError:
            return
        if answer.get("ResultCode") != "3001":
            return
        if answer.get("Signature") == signatures.of_answer(kind, answer, KEY):
            self.approved[answer["TID"]] = int(answer["Amt"])
        else:
            self.unsigned.add(answer["TID"])

    def notice_answered(self, tid: str, body: bytes, text: str) -> None:
        self._world.tell("provider", f"notice {tid} answered {text}")
        if text == "OK":
            fields = dict(parse_qsl(body.decode("ascii"), encoding="cp949", keep_blank_values=True))
            self.notices_taken.add((tid, fields.get("CancelMOID", "")))

    # --- callbacks --------------------------------------------------------------------------------------------------------------

    def callback_sent(self, process: "Process", url: str, body: bytes) -> None:
        message = json.loads(body)
        if message.get("signature") != signatures.of_message(message, SECRET):
            self.violated("signatures", "a callback's signature is wrong")
        key = (url, name_of(message))
        sends = self.sends.setdefault(key, Sends(body))
        if sends.body != body:
            self.violated("I8", f"the body of {key[1]} changed between two sends")
        sends.began_s.append(self._world.loop.time())
        self._world.tell(process.name, f"callback {key[1]} {hashlib.sha256(body).hexdigest()[:12]}")

    def callback_ended(self, url: str, body: bytes, status: int | None) -> None:
        sends = self.sends[url, name_of(json.loads(body))]
        sends.ended_s.append(self._world.loop.time())
        sends.statuses.append(status)
        self._world.tell("network", f"callback ended {status}")

    def merchant_received(self, url: str, body: bytes) -> None:
        """What a shop acts on must never contradict itself."""
        message = json.loads(body)
        operation = message["operation"]
        self._world.tell("merchant", f"hears {name_of(message)}")
        if operation["status"] in ("success", "decline"):
            heard = self.received[url, str(operation["id"])]
            heard.add(operation["status"])
            if len(heard) > 1:
                self.violated("I5", f"the shop heard both {sorted(heard)} of operation {operation['id']}")


def name_of(message: Mapping[str, Any]) -> str:
    """What makes two callbacks the same one: an operation and the status that it reports."""
    operation, payment = message["operation"], message["payment"]
    return f"{operation['type']} {operation['id']} {operation['status']} {payment['status']}"
