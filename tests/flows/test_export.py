"""Exports and schedules, from the order to the opened file and the received mail (E-32, F17, F21)."""

import asyncio
import csv
import email
import io
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.message import EmailMessage, Message
from email.policy import default
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
import xlrd
from tests.world import PROJECT_ID, OpenWorld, World

from wongate.connections.mail import FolderMailer, Mailer, MailError, SmtpMailer, mailer_of
from wongate.domain.refusal import Unfit
from wongate.domain.report import Export
from wongate.domain.rights import Role
from wongate.flows import export as exporting
from wongate.flows import people, schedules
from wongate.flows.audit import OPERATOR, Actor
from wongate.flows.export import KEPT, Exporting, Order
from wongate.flows.mailing import ATTACHED_MAX, RETRY_AFTER, Mailing
from wongate.flows.people import OPERATOR_MAY, Access
from wongate.flows.schedules import Wish
from wongate.reports import xls
from wongate.reports.export_rows import COLUMNS
from wongate.reports.register import Filter
from wongate.store import exports
from wongate.web.report_mail import composer

ZONE = "Asia/Seoul"
MAIL_FROM = "Wongate <reports@shop.example>"


class Crash(BaseException):
    """The process dies at this point."""


@dataclass(slots=True)
class Desk:
    """One person who makes reports, and the worker that serves her."""

    world: World
    person_id: int
    actor: Actor

    def order(
        self, format_: str = "csv", columns: Sequence[str] = ("payment_id", "amount"), **wanted: Any
    ) -> Order:
        return Order(
            name="Payments",
            format=format_,
            query="",
            wanted=Filter(**{"project_ids": (PROJECT_ID,), **wanted}),
            columns=columns,
            headings=[f"{name} heading" for name in columns],
            language="en",
            time_zone=ZONE,
        )

    async def make(self, *arguments: Any, **wanted: Any) -> tuple[Export, bytes]:
        """An export as it ended, and its file."""
        platform = self.world.platform
        export_id = await exporting.ask(
            platform, self.actor, self.person_id, self.order(*arguments, **wanted)
        )
        assert export_id is not None
        await self.work()
        export = await self.export(export_id)
        return export, await exporting.content(platform, export)

    async def work(self) -> None:
        worker = Exporting(self.world.platform)
        while await worker.tick():
            await worker.drain()

    async def export(self, export_id: int) -> Export:
        async with self.world.platform.database.read() as tx:
            found = await exports.load(tx, export_id)
        assert found is not None
        return found

    async def schedule(self, every: str = "day", hour: int = 9, **more: Any) -> int:
        """A schedule of this desk; its first appointment lies ahead."""
        values = {"name": "Daily", "day": 1, "time_zone": ZONE, "recipients": "a@x.kr", **more}
        return await schedules.save(
            self.world.platform,
            self.actor,
            self.person_id,
            Wish(every=every, hour=hour, **values),
            self.order(),
        )

    async def mail(self, mailer: Mailer | None) -> None:
        """Runs everything that schedules lead to, until nothing is due."""
        platform = self.world.platform
        while await schedules.tick(platform):
            pass
        await self.work()
        mailing = Mailing(platform, mailer, composer(self.world.clock, MAIL_FROM, "https://pay.example"))
        while await mailing.tick():
            await mailing.drain()


async def desk(world: World, login: str = "finance@shop.example") -> Desk:
    async with world.platform.database.transaction() as tx:
        await tx.execute("INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '') ON CONFLICT DO NOTHING")
    access = Access(frozenset({Role.FINANCE}), frozenset({PROJECT_ID}))
    made = await people.create(world.platform, OPERATOR, OPERATOR_MAY, login, "", access)
    return Desk(world, made.person_id, Actor(made.person_id, login, "127.0.0.1", (PROJECT_ID,)))


def read_csv(content: bytes) -> list[list[str]]:
    assert content.startswith(b"\xef\xbb\xbf"), "Excel reads Korean only with a BOM"
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def read_xlsx(content: bytes) -> list[list[Any]]:
    return [
        list(row) for row in openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows(values_only=True)
    ]


def read_xls(content: bytes) -> list[list[Any]]:
    sheets = xlrd.open_workbook(file_contents=content).sheets()
    return [sheet.row_values(number) for sheet in sheets for number in range(sheet.nrows)]


READERS = {"csv": read_csv, "xlsx": read_xlsx, "xls": read_xls}


@pytest.mark.parametrize("format_", READERS)
async def test_a_file_opened_by_another_reader_has_the_tables_rows_and_sums(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    monkeypatch.setattr(exporting, "PIECE", 100)
    async with open_world() as world:
        for amount in (1000, 2500, 70_000):
            sale = await world.paid_sale(payment__amount=amount, payment__description="책 한 권")
        await sale.refund(payment__amount=20_000, payment__currency="KRW")
        await world.work()
        columns = [*COLUMNS]
        export, content = await (await desk(world)).make(format_, columns)
        heading, *rows = READERS[format_](content)
        assert [f"{name} heading" for name in columns] == heading
        assert (3, "ready", len(content)) == (len(rows), export.state, export.file_size)
        cells = [dict(zip(columns, row, strict=True)) for row in rows]
        assert (73_500, 20_000) == tuple(sum(int(c[name]) for c in cells) for name in ("amount", "refunded"))
        row = await sale.row()
        assert (row["payment_id"], "partially refunded", "50000", "purchase", "책 한 권") == (
            cells[-1]["payment_id"],
            cells[-1]["status"],
            str(int(cells[-1]["refundable"])),
            cells[-1]["type"],
            cells[-1]["description"],
        )
        assert (str(row["sale_id"]), (await sale.operations())[0]["reference"]) == (
            cells[-1]["sale_id"],
            cells[-1]["reference"],
        )
        local = row["created_at"].astimezone(ZoneInfo(ZONE)).replace(tzinfo=None)
        shown: Any = cells[-1]["created_at"]
        if format_ == "xls":
            shown = xlrd.xldate_as_datetime(shown, 0) + timedelta(milliseconds=500)
        assert local.strftime("%Y-%m-%d %H:%M:%S") == str(shown)[:19]


async def test_pieces_kept_by_an_earlier_version_are_handed_out_as_they_are(open_world: OpenWorld) -> None:
    async with open_world() as world:
        await world.paid_sale()
        export, content = await (await desk(world)).make()
        async with world.platform.database.transaction() as tx:
            await exports.add_piece(tx, export, 1, b"as it is", is_packed=False)
        assert content + b"as it is" == await exporting.content(world.platform, export)


async def test_an_xls_that_its_format_cannot_hold_says_what_to_do(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xls, "STREAM_BYTES_MAX", xls.SHELL_BYTES_MAX + 120)  # the heading fits
    async with open_world() as world:
        await world.paid_sale()
        export, _ = await (await desk(world)).make("xls")
        assert ("failed", "An XLS holds at most 2 GB. Please choose XLSX or CSV, or a shorter period.") == (
            export.state,
            export.error,
        )


@pytest.mark.parametrize("format_", READERS)
async def test_no_cell_becomes_a_formula(open_world: OpenWorld, format_: str) -> None:
    async with open_world() as world:
        texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", 'a"b', "a,b", "plain"]
        for text in texts:
            await world.sale(payment__description=text)
            world.clock.advance(1)
        _, content = await (await desk(world)).make(format_, ["description"])
        cells = [row[0] for row in READERS[format_](content)[1:]]
        if format_ == "csv":
            assert [f"'{text}" for text in texts[:7]] + texts[7:] == cells
        else:
            unified = [str(cell).replace("_x000D_", "\n").replace("\r", "\n") for cell in cells]
            assert [text.replace("\r", "\n") for text in texts] == unified
        if format_ == "xlsx":
            sheet = openpyxl.load_workbook(io.BytesIO(content)).active
            assert {"s"} == {cell.data_type for row in sheet.iter_rows() for cell in row}


async def test_conditions_choose_the_rows(open_world: OpenWorld) -> None:
    async with open_world() as world:
        paid = await world.paid_sale(payment__amount=5000, customer__id="anna")
        open_sale = await world.sale(payment__amount=700)
        somebody = await desk(world)

        async def ids(**wanted: Any) -> set[str]:
            _, content = await somebody.make("csv", ["payment_id"], **wanted)
            return {row[0] for row in read_csv(content)[1:]}

        both = {paid.payment_id, open_sale.payment_id}
        assert both == await ids()
        assert {paid.payment_id} == await ids(statuses=("success",))
        assert {open_sale.payment_id} == await ids(amount_max=1000)
        assert {paid.payment_id} == await ids(customer_id="anna")
        assert {paid.payment_id} == await ids(codes=(0,))
        assert set() == await ids(until=world.clock.now() - timedelta(days=1))
        assert both == await ids(since=world.clock.now() - timedelta(days=1), sources=("gate",))


async def test_the_file_shows_what_the_person_may_see_when_it_is_made(open_world: OpenWorld) -> None:
    async with open_world() as world:
        await world.sale()
        somebody = await desk(world)
        order = somebody.order(project_ids=(PROJECT_ID, 77))
        first = await exporting.ask(world.platform, somebody.actor, somebody.person_id, order)
        assert first is not None
        await somebody.work()
        assert ("ready", 1) == (
            (await somebody.export(first)).state,
            (await somebody.export(first)).rows_done,
        )
        async with world.platform.database.transaction() as tx:
            await tx.execute("DELETE FROM person_project")
        export, content = await somebody.make()
        assert ("failed", b"") == (export.state, content)
        assert "You have no access to these projects any more." == export.error


async def test_it_is_written_down_who_took_what(open_world: OpenWorld) -> None:
    async with open_world() as world:
        somebody = await desk(world)
        export, _ = await somebody.make("xlsx")
        async for _ in await exporting.download(world.platform, somebody.actor, export):
            pass
        entries = await world.rows("SELECT action, actor, after FROM audit_entry ORDER BY seq DESC LIMIT 2")
        assert [("export downloaded", somebody.actor.login), ("export asked for", somebody.actor.login)] == [
            (entry["action"], entry["actor"]) for entry in entries
        ]
        assert ["payment_id", "amount"] == entries[1]["after"]["columns"]


async def test_files_go_after_four_days(open_world: OpenWorld) -> None:
    async with open_world() as world:
        somebody = await desk(world)
        export, _ = await somebody.make()
        world.clock.advance(KEPT.total_seconds() - 1)
        await Exporting(world.platform).tick()
        assert "ready" == (await somebody.export(export.export_id)).state
        world.clock.advance(2)
        await Exporting(world.platform).tick()
        gone = await somebody.export(export.export_id)
        assert ("removed", 0) == (gone.state, await world.value("SELECT count(*) FROM export_piece"))
        assert b"" == await exporting.content(world.platform, gone)


async def test_a_crash_after_the_rendering_leaves_one_whole_file(open_world: OpenWorld) -> None:
    async with open_world() as world:
        for _ in range(3):
            await world.sale()
        somebody = await desk(world)
        platform = world.platform
        asked = await exporting.ask(platform, somebody.actor, somebody.person_id, somebody.order())
        assert asked is not None
        crash_at(world, "export.rendered")
        await somebody.work()
        assert "waiting" == (await somebody.export(asked)).state
        platform.database.seam = lambda name: None
        await somebody.work()
        assert "waiting" == (await somebody.export(asked)).state, "the lease still runs"
        world.clock.advance(exporting.LEASE.total_seconds() + 1)
        await somebody.work()
        export = await somebody.export(asked)
        assert ("ready", 2, 3) == (export.state, export.attempt, export.rows_done)
        assert 4 == len(read_csv(await exporting.content(platform, export)))


def crash_at(world: World, point: str) -> None:
    def seam(name: str) -> None:
        if name == point:
            raise Crash

    world.platform.database.seam = seam


async def test_a_worker_that_slept_past_its_lease_finishes_nothing(open_world: OpenWorld) -> None:
    async with open_world() as world:
        somebody = await desk(world)
        await exporting.ask(world.platform, somebody.actor, somebody.person_id, somebody.order())
        slow = Exporting(world.platform)
        now = world.clock.now()
        async with world.platform.database.transaction() as tx:
            held = await exports.claim(tx, now, now + exporting.LEASE)
        assert held is not None
        world.clock.advance(exporting.LEASE.total_seconds() + 1)
        await somebody.work()
        await slow._carry(held)
        export = await somebody.export(held.export_id)
        assert ("ready", 2) == (export.state, export.attempt)
        assert [2] == [row[0] for row in await world.rows("SELECT DISTINCT attempt FROM export_piece")]


# --- schedules and mail ---


@dataclass(slots=True)
class SmtpServer:
    """A mail server of fifty lines: keeps what it takes with 250, refuses what it is told to refuse."""

    port: int = 0
    taken: list[Message] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")
            await writer.drain()

        encrypted = False
        await say("220 test")
        while line := (await reader.readline()).decode().strip():
            verb = line.split()[0].upper()
            if verb == "EHLO":
                offers = ["AUTH PLAIN"] if encrypted or not self.tls else ["STARTTLS"]
                await say(
                    "\r\n".join(["250-test", *(f"250-{offer}" for offer in offers[:-1]), f"250 {offers[-1]}"])
                )
            elif verb == "STARTTLS":
                await say("220 go on")
                await writer.start_tls(self.tls)  # type: ignore[arg-type]
                encrypted = True
            elif verb == "AUTH":
                self.logins.append(line)
                await say("235 welcome")
            elif verb == "RCPT" and self.refusals:
                await say(self.refusals.pop(0))
            elif verb == "DATA":
                await say("354 go on")
                raw = await reader.readuntil(b"\r\n.\r\n")
                self.taken.append(email.message_from_bytes(raw[:-3], policy=default))
                await say("250 taken")
            else:
                await say("221 bye" if verb == "QUIT" else "250 ok")
        writer.close()


@asynccontextmanager
async def smtp_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[SmtpServer]:
    server = SmtpServer(tls=tls)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await listening.wait_closed()


def attachment(message: Message) -> EmailMessage:
    assert isinstance(message, EmailMessage)
    found = list(message.iter_attachments())
    assert 1 == len(found)
    assert isinstance(found[0], EmailMessage)
    return found[0]


async def appointment(world: World) -> None:
    """Moves the clock to a minute past the next appointment."""
    next_at = await world.value("SELECT min(next_at) FROM schedule")
    world.clock.advance((next_at - world.clock.now()).total_seconds() + 60)


async def test_yesterdays_payments_arrive_by_mail_once_a_day(open_world: OpenWorld) -> None:
    async with open_world() as world, smtp_server() as server:
        somebody = await desk(world)
        mailer = mailer_of(f"smtp://127.0.0.1:{server.port}")
        await somebody.schedule(recipients="a@x.kr, b@x.kr")
        await appointment(world)
        await somebody.mail(mailer)
        assert 2 == len(server.taken)
        yesterday = await world.sale(payment__amount=4000)
        world.clock.advance(86_400)
        await world.sale(payment__amount=1)
        for _ in range(3):
            await somebody.mail(mailer)
        assert ["a@x.kr", "b@x.kr"] * 2 == [message["To"] for message in server.taken]
        file = attachment(server.taken[-1])
        assert (file.get_filename() or "").endswith(".csv")
        content = file.get_payload(decode=True)
        assert isinstance(content, bytes)
        rows = read_csv(content)
        assert [["payment_id heading", "amount heading"], [yesterday.payment_id, "4000"]] == rows
        day = (world.clock.now() - timedelta(days=1)).astimezone(ZoneInfo(ZONE)).date()
        assert f"Daily: {day}" == server.taken[-1]["Subject"]
        assert MAIL_FROM == server.taken[-1]["From"]
        assert 4 == len({message["Message-ID"] for message in server.taken})


async def test_a_crash_after_250_repeats_the_mail_under_the_same_id(open_world: OpenWorld) -> None:
    async with open_world() as world, smtp_server() as server:
        somebody = await desk(world)
        mailer = mailer_of(f"smtp://127.0.0.1:{server.port}")
        await somebody.schedule()
        await appointment(world)
        crash_at(world, "export.sent")
        await somebody.mail(mailer)
        assert 1 == len(server.taken)
        world.platform.database.seam = lambda name: None
        world.clock.advance(3600)
        for _ in range(3):
            await somebody.mail(mailer)
        first, second = server.taken
        assert first["Message-ID"] == second["Message-ID"]
        assert ("sent", 2) == tuple((await world.rows("SELECT state, attempt FROM mail"))[0])


async def test_two_workers_start_an_appointment_once(open_world: OpenWorld) -> None:
    async with open_world() as world:
        somebody = await desk(world)
        await somebody.schedule()
        await appointment(world)
        started = await asyncio.gather(*(schedules.tick(world.platform) for _ in range(8)))
        assert (1, 1) == (sum(started), await world.value("SELECT count(*) FROM export"))


async def test_a_crash_before_the_commit_of_an_appointment_loses_it_not(open_world: OpenWorld) -> None:
    async with open_world() as world:
        somebody = await desk(world)
        await somebody.schedule()
        await appointment(world)
        crash_at(world, "commit")
        with pytest.raises(Crash):
            await schedules.tick(world.platform)
        world.platform.database.seam = lambda name: None
        assert [1, 0] == [await schedules.tick(world.platform) for _ in range(2)]


async def test_a_server_that_is_busy_is_asked_again_one_that_refuses_is_not(open_world: OpenWorld) -> None:
    async with open_world() as world, smtp_server() as server:
        somebody = await desk(world)
        mailer = mailer_of(f"smtp://127.0.0.1:{server.port}")
        await somebody.schedule()
        await appointment(world)
        server.refusals += ["451 busy", "550 no such box"]
        await somebody.mail(mailer)
        assert ("waiting", "the mail server said 451 busy") == tuple(
            (await world.rows("SELECT state, error FROM mail"))[0]
        )
        world.clock.advance(RETRY_AFTER[0].total_seconds() + 1)
        await somebody.mail(mailer)
        assert ("failed", "the mail server said 550 no such box") == tuple(
            (await world.rows("SELECT state, error FROM mail"))[0]
        )
        world.clock.advance(86_000)
        await somebody.mail(mailer)
        assert 0 == len(server.taken)


async def test_a_dead_mail_server_is_given_up_after_half_a_day(open_world: OpenWorld) -> None:
    async with open_world() as world:
        somebody = await desk(world)
        await somebody.schedule()
        await appointment(world)
        mailer = mailer_of("smtp://127.0.0.1:1")
        for wait in (*RETRY_AFTER, timedelta(hours=1)):
            await somebody.mail(mailer)
            world.clock.advance(wait.total_seconds() + 1)
        state, attempt = (await world.rows("SELECT state, attempt FROM mail"))[0]
        assert ("failed", len(RETRY_AFTER) + 1) == (state, attempt)


async def test_a_kept_report_is_sent_again_under_a_new_id(open_world: OpenWorld, tmp_path: Path) -> None:
    async with open_world() as world:
        somebody = await desk(world)
        await somebody.schedule()
        await appointment(world)
        await somebody.mail(FolderMailer(tmp_path))
        export = await somebody.export(await world.value("SELECT export_id FROM export"))
        await schedules.resend(world.platform, somebody.actor, export, ["c@x.kr"])
        await somebody.mail(FolderMailer(tmp_path))
        mails = [
            email.message_from_bytes(path.read_bytes(), policy=default)
            for path in sorted(tmp_path.glob("*.eml"))
        ]
        assert ["a@x.kr", "c@x.kr"] == [mail["To"] for mail in mails]
        assert 2 == len({mail["Message-ID"] for mail in mails})


async def test_a_large_file_is_linked(open_world: OpenWorld) -> None:
    async with open_world() as world:
        somebody = await desk(world)
        await somebody.schedule()
        await appointment(world)
        await schedules.tick(world.platform)
        await somebody.work()
        async with world.platform.database.transaction() as tx:
            await tx.execute("UPDATE export SET file_size = $1", ATTACHED_MAX + 1)
        async with smtp_server() as server:
            await somebody.mail(mailer_of(f"smtp://127.0.0.1:{server.port}"))
            message = server.taken[0]
        assert not message.is_multipart()
        export_id = await world.value("SELECT export_id FROM export")
        assert f"https://pay.example/dashboard/exports/{export_id}" in message.get_payload()


async def test_without_a_mail_server_the_history_says_so(open_world: OpenWorld) -> None:
    async with open_world() as world:
        somebody = await desk(world)
        await somebody.schedule()
        await appointment(world)
        await somebody.mail(None)
        state, error = (await world.rows("SELECT state, error FROM mail"))[0]
        assert ("failed", "no mail server is set up (WONGATE_MAIL_URL)") == (state, error)


async def test_a_password_is_never_sent_without_tls() -> None:
    async with smtp_server() as server:
        with pytest.raises(MailError, match="password was not sent"):
            await mailer_of(f"smtp://anna:secret@127.0.0.1:{server.port}").send(message_of("a@x.kr"))
        assert [] == server.logins


async def test_starttls_comes_before_the_password(tmp_path: Path) -> None:
    served, trusted = certificate(tmp_path)
    async with smtp_server(served) as server:
        mailer = SmtpMailer(
            "localhost", server.port, user="anna", password="secret", implicit_tls=False, tls=trusted
        )
        await mailer.send(message_of("a@x.kr"))
        assert (1, 1) == (len(server.logins), len(server.taken))
        untrusting = mailer_of(f"smtp://anna:secret@localhost:{server.port}")
        with pytest.raises(MailError, match="certificate"):
            await untrusting.send(message_of("a@x.kr"))
        assert 1 == len(server.logins)


def message_of(recipient: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "r@x.kr", recipient, "report"
    message.set_content("report")
    return message


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for localhost, and a client's that trusts it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(ZoneInfo("UTC"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(pem)
    return served, ssl.create_default_context(cafile=str(pem))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"recipients": "no address"}, "recipients"),
        ({"recipients": ""}, "recipients"),
        ({"recipients": "a@x.kr\nBcc: all@x.kr"}, "recipients"),
        ({"recipients": ",".join(f"a{number}@x.kr" for number in range(21))}, "recipients"),
        ({"name": " "}, "name"),
        ({"every": "hour"}, "every"),
        ({"every": "week", "day": 8}, "day"),
        ({"hour": 24}, "day"),
        ({"time_zone": "Mars"}, "time_zone"),
    ],
)
async def test_a_schedule_that_cannot_be_kept_is_refused(
    open_world: OpenWorld, changes: dict[str, Any], field: str
) -> None:
    async with open_world(audited=False) as world:
        with pytest.raises(Unfit) as refusal:
            await (await desk(world)).schedule(**changes)
        assert field == refusal.value.field


async def test_a_schedule_of_somebody_else_is_not_there(open_world: OpenWorld) -> None:
    async with open_world(audited=False) as world:
        hers, his = await desk(world), await desk(world, "other@shop.example")
        number = await hers.schedule()
        assert await schedules.own(world.platform, hers.person_id, number) is not None
        assert await schedules.own(world.platform, his.person_id, number) is None
        wish = Wish("Stolen", "day", 1, 9, ZONE, "thief@x.kr")
        await schedules.save(world.platform, his.actor, his.person_id, wish, his.order(), number)
        assert ["a@x.kr"] == await world.value("SELECT recipients FROM schedule")


async def test_an_export_of_a_schedule_survives_its_deletion(open_world: OpenWorld, tmp_path: Path) -> None:
    async with open_world() as world:
        somebody = await desk(world)
        number = await somebody.schedule()
        schedule = await schedules.own(world.platform, somebody.person_id, number)
        assert schedule is not None
        await schedules.run_now(world.platform, somebody.actor, schedule)
        await schedules.drop(world.platform, somebody.actor, schedule)
        await somebody.mail(FolderMailer(tmp_path))
        assert 1 == len(list(tmp_path.glob("*.eml")))
        world.clock.advance(2 * 86_400)
        await somebody.mail(FolderMailer(tmp_path))
        assert 1 == len(list(tmp_path.glob("*.eml")))


def test_a_filter_goes_into_json_and_comes_back() -> None:
    at = datetime(2026, 11, 23, 1, 2, 3, tzinfo=ZoneInfo("UTC"))
    wanted = Filter((1, 2), since=at, statuses=("success",), amount_min=0, flagged=True, codes=(20105,))
    assert wanted == exporting.filter_of(exporting.filter_json(wanted))
    assert replace(wanted, since=None) == exporting.filter_of(
        {**exporting.filter_json(replace(wanted, since=None)), "renamed": 1}
    )


async def test_an_export_rests_twice_as_long_as_it_works() -> None:
    """Otherwise a million rows take all cores, and sales wait."""
    moment, rests = 0.0, []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    pace = exporting.Pace(lambda: moment, 2.0, rest)
    for worked_s in (0.0005, 0.0195, 0.5, 0.0):
        moment += worked_s
        await pace()
    assert [0.04, 1.0] == [round(seconds, 6) for seconds in rests]
