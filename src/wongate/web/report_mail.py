"""The mail that carries an export, in the language of whoever asked for it."""

from email.message import EmailMessage
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from babel.numbers import format_decimal

from wongate.connections.clock import Clock
from wongate.domain.report import Export, Mail
from wongate.flows.export import filter_of
from wongate.flows.mailing import Compose
from wongate.reports.sheets import FORMATS
from wongate.web.words import words


def composer(clock: Clock, sender: str, page_url: str) -> Compose:
    """`sender` is the From address, `page_url` the base of the Dashboard's addresses."""

    def compose(export: Export, mail: Mail, attached: bytes | None) -> EmailMessage:
        message = EmailMessage()
        message["From"] = sender
        message["To"] = mail.recipient
        message["Subject"] = _subject(export)
        message["Date"] = format_datetime(clock.now())
        message["Message-ID"] = mail.message_id
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(
            _text(export, f"{page_url}/dashboard/exports/{export.export_id}", attached is not None)
        )
        if attached is not None:
            kind, _, subtype = FORMATS[export.format][1].partition(";")[0].partition("/")
            message.add_attachment(attached, maintype=kind, subtype=subtype, filename=export.file_name)
        return message

    return compose


def _subject(export: Export) -> str:
    """The report's name, and the days it is about."""
    return f"{export.name}: {_period(export)}" if _period(export) else export.name


def _period(export: Export) -> str:
    wanted = filter_of(export.filter)
    if wanted.since is None or wanted.until is None:
        return ""
    zone = ZoneInfo(export.time_zone)
    first, after = wanted.since.astimezone(zone), wanted.until.astimezone(zone)
    last = after if after.time() > after.min.time() else after.fromtimestamp(after.timestamp() - 1, zone)
    days = sorted({first.date(), last.date()})
    return " – ".join(day.isoformat() for day in days)


def _text(export: Export, url: str, attached: bool) -> str:
    texts = words("dashboard", export.language)
    number = format_decimal(export.rows_done, locale=export.language)
    lines = [
        texts.gettext("Payments report: %(name)s") % {"name": export.name},
        "",
        texts.gettext("Period: %(period)s (%(zone)s)")
        % {"period": _period(export) or "–", "zone": export.time_zone},
        texts.gettext("Rows: %(number)s") % {"number": number},
        texts.gettext("File: %(name)s") % {"name": export.file_name},
        "",
        texts.gettext("The file is attached. For four days after it was made it is also here:")
        if attached
        else texts.gettext(
            "The file is too large for a mail. Until four days after it was made it can be fetched here:"
        ),
        url,
        "",
        texts.gettext("You receive this because your address stands in a schedule of the Wongate Dashboard."),
    ]
    return "\n".join(lines) + "\n"
