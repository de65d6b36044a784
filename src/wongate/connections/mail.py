"""Mail that leaves this server: by SMTP, or into a folder of .eml files in the sandbox."""

import asyncio
import re
import smtplib
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import SMTP
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

TIMEOUT_S = 30
LETTERS_MAX = 100
_LETTER = re.compile(r"[0-9]+\.eml")
PORTS = {"smtp": 587, "smtps": 465}


class MailError(Exception):
    """The mail was not taken. `permanent`: trying again would meet the same answer. The text carries no secret."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class Mailer(Protocol):
    async def send(self, message: EmailMessage) -> None:
        """Returns once the other side has taken the mail over. Raises MailError."""


def mailer_of(url: str, *, tls: ssl.SSLContext | None = None) -> Mailer:
    """`smtp://user:password@host:587` (STARTTLS wherever it is offered), `smtps://...` (TLS from the start), `file:/folder`.

    `tls` replaces the system's trusted certificates. Raises ValueError for anything else.
    """
    folder = mail_folder(url)
    if folder is not None:
        return FolderMailer(folder)
    parts = urlsplit(url)
    if parts.scheme in PORTS and parts.hostname:
        return SmtpMailer(
            parts.hostname,
            parts.port or PORTS[parts.scheme],
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            implicit_tls=parts.scheme == "smtps",
            tls=tls or ssl.create_default_context(),
        )
    raise ValueError("smtp://, smtps:// or file: is needed")


def mail_folder(url: str) -> Path | None:
    """Where a `file:` URL leads; None for the others."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" and parts.path else None


class SmtpMailer:
    """A connection for each mail, in a thread: reports are few."""

    def __init__(
        self, host: str, port: int, *, user: str, password: str, implicit_tls: bool, tls: ssl.SSLContext
    ) -> None:
        self._host = host
        self._port = port
        self._user = user
        self._password = password
        self._implicit_tls = implicit_tls
        self._tls = tls

    async def send(self, message: EmailMessage) -> None:
        await asyncio.to_thread(self._send, message)

    def _send(self, message: EmailMessage) -> None:
        try:
            server = self._connect()
            try:
                self._log_in(server)
                server.send_message(message)
            finally:
                _hang_up(server)
        except smtplib.SMTPRecipientsRefused as refused:
            code, text = next(iter(refused.recipients.values()))
            raise MailError(_said(code, text), permanent=code >= 500) from None
        except smtplib.SMTPResponseException as refused:
            raise MailError(
                _said(refused.smtp_code, refused.smtp_error), permanent=refused.smtp_code >= 500
            ) from None
        except (OSError, smtplib.SMTPException) as error:
            raise MailError(f"the mail server: {error}") from None

    def _connect(self) -> smtplib.SMTP:
        if self._implicit_tls:
            return smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT_S, context=self._tls)
        return smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_S)

    def _log_in(self, server: smtplib.SMTP) -> None:
        server.ehlo()
        encrypted = self._implicit_tls
        if not encrypted and server.has_extn("starttls"):
            server.starttls(context=self._tls)
            server.ehlo()
            encrypted = True
        if self._user:
            if not encrypted:
                raise MailError("the mail server offers no TLS: the password was not sent", permanent=True)
            server.login(self._user, self._password)


def _hang_up(server: smtplib.SMTP) -> None:
    """Whatever happens to the goodbye, the mail was taken or refused before."""
    try:
        server.quit()
    except (OSError, smtplib.SMTPException):
        server.close()


def _said(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"the mail server said {code} {words}"[:500]


class FolderMailer:
    """Mails as files, for sandboxes: the Dashboard's mailbox shows them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def send(self, message: EmailMessage) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{time.time_ns()}.eml"
        draft = path.with_suffix(".draft")
        draft.write_bytes(message.as_bytes(policy=SMTP))
        draft.replace(path)


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail of the folder, read; `name` is its file's."""

    name: str
    sender: str
    recipient: str
    subject: str
    at: datetime
    message_id: str
    text: str
    attachments: Sequence[Attachment]


class Mailbox:
    """Reads what FolderMailer wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def letters(self) -> list[Letter]:
        """The latest hundred, newest first."""
        paths = sorted(self._folder.glob("*.eml"), reverse=True)[:LETTERS_MAX]
        return [_read(path) for path in paths]

    def letter(self, name: str) -> Letter | None:
        path = self._folder / name
        return _read(path) if _LETTER.fullmatch(name) and path.exists() else None


def _read(path: Path) -> Letter:
    message = message_from_bytes(path.read_bytes(), policy=SMTP)
    body = message.get_body(("plain",))
    attached = [
        Attachment(part.get_filename() or "attachment", part.get_content_type(), _content(part))
        for part in message.iter_attachments()
    ]
    return Letter(
        name=path.name,
        sender=message["From"] or "",
        recipient=message["To"] or "",
        subject=message["Subject"] or "",
        at=_dated(message) or datetime.fromtimestamp(path.stat().st_mtime, UTC),
        message_id=message["Message-ID"] or "",
        text=body.get_content() if body else "",
        attachments=attached,
    )


def _dated(message: EmailMessage) -> datetime | None:
    """None for a mail without a date, or with one that nobody can read."""
    at: datetime | None = message["Date"].datetime if message["Date"] else None
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)


def _content(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""
