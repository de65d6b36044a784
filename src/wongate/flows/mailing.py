"""Mails with finished exports: one for each address, repeated with the same Message-ID until it is taken (F21)."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage

from wongate.connections.mail import Mailer, MailError
from wongate.domain.report import Export, Mail
from wongate.flows import export as exporting
from wongate.flows.platform import Platform
from wongate.store import exports, schedules

log = logging.getLogger(__name__)

ATTACHED_MAX = 10 * 1024 * 1024
"""Bytes of a file that travels in the mail; a larger one is linked: many servers refuse 20 MB, and base64 adds a third."""

LEASE = timedelta(minutes=5)
"""Longer than the mail server may take (30 s a step)."""

RETRY_AFTER = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240, 480))
"""After the last of them the mail has failed, half a day after the first try; the page offers to send it again."""

Compose = Callable[[Export, Mail, bytes | None], EmailMessage]
"""Writes the mail in the export's language; None in place of the file means a link."""


class Mailing:
    """One per process; mails leave one after another."""

    def __init__(self, platform: Platform, mailer: Mailer | None, compose: Compose) -> None:
        self._platform = platform
        self._mailer = mailer
        self._compose = compose
        self._task: asyncio.Task[None] | None = None

    async def tick(self) -> int:
        if self._task is not None and not self._task.done():
            return 0
        now = self._platform.clock.now()
        mail = await self._platform.database.run(lambda tx: schedules.claim_mail(tx, now, now + LEASE))
        if mail is None:
            return 0
        self._task = asyncio.create_task(self._carry(mail))
        return 1

    async def drain(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task], timeout=60)

    async def _carry(self, mail: Mail) -> None:
        """A broken step leaves the lease to run out: the mail is sent again."""
        try:
            await self._send(mail)
        except Exception:
            log.exception("mail broke", extra={"mail_id": mail.mail_id})

    async def _send(self, mail: Mail) -> None:
        try:
            await self._post(mail)
        except MailError as error:
            log.warning("mail was not taken", extra={"mail_id": mail.mail_id, "reason": str(error)})
            await self._record_failure(mail, error)
            return
        self._platform.database.seam("export.sent")
        await self._record(mail, "sent", "", timedelta())

    async def _post(self, mail: Mail) -> None:
        if self._mailer is None:
            raise MailError("no mail server is set up (WONGATE_MAIL_URL)", permanent=True)
        async with self._platform.database.read() as tx:
            export = await exports.load(tx, mail.export_id)
        if export is None or export.state != "ready":
            raise MailError("the file is not kept any more", permanent=True)
        attached = (
            await exporting.content(self._platform, export) if export.file_size <= ATTACHED_MAX else None
        )
        await self._mailer.send(self._compose(export, mail, attached))

    async def _record_failure(self, mail: Mail, error: MailError) -> None:
        if error.permanent or mail.attempt > len(RETRY_AFTER):
            await self._record(mail, "failed", str(error), timedelta())
        else:
            await self._record(mail, "waiting", str(error), RETRY_AFTER[mail.attempt - 1])

    async def _record(self, mail: Mail, state: str, error: str, wait: timedelta) -> None:
        now = self._platform.clock.now()
        await self._platform.database.run(
            lambda tx: schedules.record_mail(tx, mail, state=state, error=error, due_at=now + wait, now=now)
        )
