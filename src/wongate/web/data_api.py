"""The Data API (`/v1`, section 5.6): signed questions about operations and payments, answers signed with the token's secret."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo

from wongate.connections.database import Unavailable
from wongate.connections.json_text import dumps
from wongate.domain import data_requests, requests
from wongate.domain.callback import signed
from wongate.domain.data_requests import DataError
from wongate.domain.refusal import Refused
from wongate.domain.rights import Right
from wongate.flows import data_api
from wongate.flows.data_api import Pause
from wongate.flows.platform import Platform
from wongate.flows.profile import TokenHolder
from wongate.reports import operations
from wongate.web.http import ClientGone, Receive, Scope, Send, answer_text, read_body

log = logging.getLogger(__name__)

Body = dict[str, Any]
Story = Callable[[Body, TokenHolder], Awaitable[Body]]


class DataApi:
    """One per process. `may_push`: whether answers may also go to a `destination_url` (E-23)."""

    def __init__(self, platform: Platform, *, may_push: bool = True, pause: Pause = asyncio.sleep) -> None:
        self._platform = platform
        self._may_push = may_push
        self._pause = pause
        self._stories: dict[str, Story] = {
            "/v1/operations/get": self._operations,
            "/v1/operations/get-by-payment": self._of_payment,
            "/v1/payment/get": self._payment,
            "/v1/balance/get": self._balances,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await answer_text(send, await self._answer(scope, receive))
        except DataError as error:
            if error.status in (
                401,
                403,
            ):  # a wrong token, a wrong signature, a foreign project, a missing right
                log.warning("data api refused", extra={"path": scope["path"], "why": error.message})
            await refuse(send, error)
        except Refused as refused:  # the body is too large, or no JSON object
            status = refused.http_status if refused.http_status in (408, 413) else 400
            await refuse(send, DataError(status, refused.constraint or "The body is not a JSON object"))
        except Unavailable:
            await refuse(send, DataError(503, "Please try again in a moment", retry_after_s=1))
        except ClientGone:
            return
        except Exception:
            log.exception("data api broke", extra={"path": scope["path"]})
            await refuse(send, DataError(500, "Something broke on our side"))

    async def _answer(self, scope: Scope, receive: Receive) -> str:
        story = self._stories.get(scope["path"])
        if story is None:
            raise DataError(404, "There is nothing here")
        if scope["method"] != "POST":
            raise DataError(405, "Requests are sent by POST")
        body = requests.parse(await read_body(scope, receive))
        holder = await data_api.recognise(self._platform, body)
        await data_api.keep_pace(self._platform, body["token"])
        answer = await story(body, holder)
        return dumps(
            await asyncio.to_thread(signed, answer, holder.secret)
        )  # a thousand operations: 40 ms of CPU

    async def _operations(self, body: Body, holder: TokenHolder) -> Body:
        person = holder.person
        wanted = data_requests.read_operations_request(
            body, person.project_ids, person.time_zone, operations.FIELD_NAMES
        )
        if wanted.destination_url:
            if not self._may_push:
                raise DataError(400, "destination_url is not offered on this server")
            data_api.check_destination(self._platform, wanted.destination_url)
        if wanted.is_wide:
            await data_api.take_turn(self._platform, body["token"], self._pause)
        rows = await self._platform.look_up(lambda tx: operations.find(tx, wanted))
        answer = {"operations": [operations.shown(row, wanted.zone, wanted.fields) for row in rows]}
        if wanted.destination_url:
            await data_api.push(self._platform, holder, body["token"], wanted.destination_url, answer)
        return answer

    async def _of_payment(self, body: Body, holder: TokenHolder) -> Body:
        rows = await self._rows_of_payment(body, holder)
        zone = ZoneInfo(holder.person.time_zone)
        return {"operations": [operations.shown_briefly(row, zone) for row in rows]}

    async def _payment(self, body: Body, holder: TokenHolder) -> Body:
        """Its shape is documented nowhere: the payment, and its operations as `/v1/operations/get` shows them.

        Where several projects know the id, `project_id` chooses; without it the latest payment is meant.
        """
        rows = await self._rows_of_payment(body, holder)
        if not rows:
            raise DataError(404, "There is no such payment")
        latest = rows[-1]
        zone = ZoneInfo(holder.person.time_zone)
        own = [row for row in rows if row["payment_no"] == latest["payment_no"]]
        return {
            "payment": operations.payment_of(latest, zone),
            "operations": [operations.shown(row, zone) for row in own],
        }

    async def _rows_of_payment(self, body: Body, holder: TokenHolder) -> list[operations.Row]:
        payment_id = data_requests.payment_id_of(body)
        project_ids = data_requests.own_projects(body, holder.person.project_ids)
        return await self._platform.look_up(lambda tx: operations.of_payment(tx, project_ids, payment_id))

    async def _balances(self, body: Body, holder: TokenHolder) -> Body:
        if Right.BALANCES not in holder.person.rights:
            raise DataError(403, "You may not see balances")
        rows = await self._platform.look_up(lambda tx: operations.balances(tx, holder.person.project_ids))
        return {"balance": [{"name": row["name"], row["currency"]: str(row["amount"])} for row in rows]}


async def refuse(send: Send, error: DataError) -> None:
    """The documented shape, unsigned."""
    body: Mapping[str, Any] = {
        "name": HTTPStatus(error.status).phrase,
        "message": error.message,
        "code": 0,
        "status": error.status,
    }
    headers = {
        405: [(b"allow", b"POST")],
        413: [(b"connection", b"close")],
    }.get(error.status, [])
    if error.retry_after_s is not None:
        headers = [*headers, (b"retry-after", str(error.retry_after_s).encode())]
    await answer_text(send, json.dumps(body, ensure_ascii=False), error.status, headers)
