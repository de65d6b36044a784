"""`wongate audit` and `wongate reconcile`: silent on sound books, and each damage done by hand is found and named."""

import asyncio
import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.world import PROJECT_ID, SECRET, OpenWorld, Sale, World, free_port

from wongate.__main__ import main
from wongate.flows.audit import OPERATOR, note
from wongate.reports import invariants
from wongate.reports.invariants import Finding

REFUND = "(SELECT operation_id FROM operation WHERE kind = 'refund')"
SALE = "(SELECT operation_id FROM operation WHERE kind = 'sale')"


@dataclass(frozen=True, slots=True)
class CommandLine:
    """`wongate ...` in a thread of its own, as it has an event loop of its own."""

    environment: pytest.MonkeyPatch
    output: pytest.CaptureFixture[str]

    async def run(self, world: World, *arguments: str) -> tuple[int, str]:
        """Exit code and everything printed."""
        self.environment.setenv("WONGATE_DATABASE_URL", world.database_url)
        self.environment.setenv("WONGATE_MASTER_KEY", base64.b64encode(b"k" * 32).decode())
        self.output.readouterr()
        code = await asyncio.to_thread(main, arguments)
        printed = self.output.readouterr()
        return code, printed.out + printed.err


@pytest.fixture
def wongate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


async def a_bit_of_everything(world: World) -> None:
    """One payment of each fate; what is unresolved stays so while nobody lets time pass."""
    await (await world.sale(payment__amount=1300)).pay("cancel")
    await world.sale(payment__amount=-5)
    await world.sale(payment__amount=50)
    await world.sale(callback__force_disable=1)
    paid = await world.paid_sale(payment__amount=2000)
    await paid.refund(payment__amount=500, payment__currency="KRW")
    await paid.refund(payment__amount=5000, payment__currency="KRW")
    gone = await world.paid_sale(payment__amount=700)
    await gone.refund()
    await world.work()


async def partly_refunded(world: World) -> Sale:
    """1,000 won paid, 400 of them back."""
    sale = await world.paid_sale()
    await sale.refund(payment__amount=400, payment__currency="KRW")
    await world.work()
    return sale


async def unknown_approval(world: World) -> Sale:
    """Approved at the provider, and nobody knows here: the answer is lost, and so is every other one."""
    sale = await world.sale()
    await sale.fault("approve", "garbage", committed=True, style="empty")
    for call in ("netcancel", "inquiry", "cancel"):
        await sale.fault(call, "http_500", times="always")
    await sale.pay()
    await world.work()
    return sale


GUARDS = (
    ("payment", "refunds_within_captured"),
    ("ledger_entry", "ledger_entry_project_id_operation_id_seq_fkey"),
    ("callback", "callback_project_id_operation_id_seq_fkey"),
)


async def damage(connection: asyncpg.Connection, *statements: str) -> None:
    """By raw SQL, past every guard of the schema."""
    for table, guard in GUARDS:
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {guard}")
    await connection.execute("DROP INDEX one_final_transition")
    for statement in statements:
        await connection.execute(statement)


async def change(world: World, *statements: str) -> None:
    """Damage that stays; for worlds with a database of their own."""
    connection = await asyncpg.connect(world.database_url)
    try:
        await damage(connection, *statements)
    finally:
        await connection.close()


# --- audit ---


async def test_a_sound_database_has_no_findings(open_world: OpenWorld, wongate: CommandLine):
    async with open_world() as world:
        await a_bit_of_everything(world)
        code, said = await wongate.run(world, "audit")
        assert (0, True, True, True) == (
            code,
            "invariants I1 I2 I3 I4 I5 I6 I7 I8 hold\n" in said,
            "rows, unbroken, head " in said,
            "unresolved: 0\n" in said,
        ), said


async def test_an_empty_database_has_no_findings(open_world: OpenWorld, wongate: CommandLine):
    async with open_world() as world:
        assert 0 == (await wongate.run(world, "audit"))[0]


async def test_what_is_unresolved_is_listed_and_is_no_finding(open_world: OpenWorld, wongate: CommandLine):
    async with open_world() as world:
        sale = await unknown_approval(world)
        code, said = await wongate.run(world, "audit")
        assert (0, True) == (code, "unresolved: 1\n" in said)
        assert [str(PROJECT_ID), sale.payment_id, "sale", "undoing", "1000"] == [
            cell for cell in said.splitlines()[-1].split() if len(cell) < 14
        ]


DAMAGE = [
    ("I1", "refunds done 400 (booked 401)", "UPDATE payment SET refunded = 401"),
    (
        "I1",
        "refunds done 2400 (booked 400)",
        f"UPDATE operation SET amount = 2400 WHERE operation_id = {REFUND}",
    ),
    ("I1", "in work 0 (reserved 100)", "UPDATE payment SET reserved = 100"),
    (
        "I2",
        "approval sent 2 times",
        "INSERT INTO exchange SELECT project_id, operation_id, exchange_no + 1, kind, at + interval '1 s', "
        "duration_ms, request, response, verdict FROM exchange WHERE kind = 'approve'",
    ),
    (
        "I2",
        "approval intended 2 times",
        "INSERT INTO transition SELECT project_id, operation_id, 9, event, status, stage, payment_status, code, final, note, "
        "at FROM transition WHERE event = 'confirmed'",
    ),
    (
        "I3",
        "sale approved without a word of the provider",
        "UPDATE exchange SET verdict = 'approved 999' WHERE kind = 'approve'",
    ),
    (
        "I3",
        "refund approved without a word of the provider",
        "UPDATE exchange SET verdict = 'unanswered: time-out' WHERE kind = 'cancel'",
    ),
    (
        "I4",
        "success without its callback",
        f"WITH gone AS (DELETE FROM attempt WHERE operation_id = {REFUND}) DELETE FROM callback WHERE operation_id = {REFUND}",
    ),
    ("I5", "approved at reserved cannot lead to success", "DELETE FROM transition WHERE event = 'sent'"),
    ("I5", "transition 2 is missing", "DELETE FROM transition WHERE event = 'sent'"),
    ("I5", "bewitched at waiting", "UPDATE transition SET event = 'bewitched' WHERE event = 'confirmed'"),
    (
        "I5",
        "is decline (done), its history ends success (done)",
        f"UPDATE operation SET status = 'decline' WHERE operation_id = {SALE}",
    ),
    (
        "I5",
        "became final 2 times instead of 1",
        "UPDATE transition SET final = true WHERE event = 'confirmed'",
    ),
    (
        "I5",
        "became final 0 times instead of 1",
        f"UPDATE transition SET final = false WHERE operation_id = {SALE}",
    ),
    (
        "I5",
        "is success, but its operations make it partially refunded",
        "UPDATE payment SET status = 'success'",
    ),
    ("I6", "ledger: merchant 601", "UPDATE ledger_entry SET amount = 399 WHERE credit = 'refund reserve'"),
    ("I6", "provider 1000", "DELETE FROM ledger_entry WHERE debit = 'provider'"),
    ("I6", "merchant 1000", "DELETE FROM ledger_entry WHERE debit IN ('merchant', 'refund reserve')"),
    (
        "I7",
        "has no history",
        f"WITH c AS (DELETE FROM callback), t AS (DELETE FROM ledger_entry) DELETE FROM transition WHERE operation_id = {REFUND}",
    ),
    (
        "I7",
        "nobody will look at it again",
        f"UPDATE operation SET stage = 'asking', wake_at = NULL WHERE operation_id = {REFUND}",
    ),
    ("I7", "its sale is not there", "UPDATE payment SET sale_id = 5"),
    (
        "I8",
        "the body was changed after it was signed",
        f"UPDATE callback SET body = replace(body, '400', '401') WHERE operation_id = {REFUND}",
    ),
    ("I8", "the body was changed", "UPDATE callback SET body = 'no JSON'"),
]


async def test_damage_is_found_and_named(open_world: OpenWorld):
    """Each in a transaction that is rolled back, so that the next one meets sound books again."""
    async with open_world() as world:
        world.clock.advance(60)  # settings younger than a payment might not have been in force when it ended
        await partly_refunded(world)
        connection = await asyncpg.connect(world.database_url)
        try:
            assert [] == await found_in(connection)
            for invariant, text, statement in DAMAGE:
                damaging = connection.transaction()
                await damaging.start()
                await damage(connection, statement)
                found = await found_in(connection)
                await damaging.rollback()
                assert any(f.invariant == invariant and text in f.text for f in found), (text, found)
        finally:
            await connection.close()


async def test_a_refund_settled_by_a_remainder_rests_on_the_answer_that_told_it(open_world: OpenWorld):
    """N-12: that answer was to another refund of the payment."""
    async with open_world() as world:
        sale = await world.paid_sale()
        await sale.fault("cancel", "reset", committed=True)
        for amount in (300, 200):
            await sale.refund(payment__amount=amount, payment__currency="KRW")
            await world.work()
        await world.pass_time(3900, step_s=60)
        assert 500 == (await sale.row())["refunded"]
        connection = await asyncpg.connect(world.database_url)
        try:
            assert [] == await found_in(connection)
            for response in ("response - 'RemainAmt'", """response || '{"RemainAmt": "000000000800"}'"""):
                damaging = connection.transaction()
                await damaging.start()
                await damage(connection, f"UPDATE exchange SET response = {response} WHERE kind = 'cancel'")
                found = await found_in(connection)
                await damaging.rollback()
                assert ["refund approved without a word of the provider"] == [f.text for f in found]
        finally:
            await connection.close()


async def found_in(connection: asyncpg.Connection) -> list[Finding]:
    async def secrets(project_id: int) -> list[str]:
        return [SECRET]

    async with connection.transaction():
        return [finding async for finding in invariants.findings(connection, secrets)]


async def test_findings_and_a_broken_audit_log_are_printed(
    database: str, open_world: OpenWorld, wongate: CommandLine
):
    async with open_world(url=database, audited=False) as world:
        await partly_refunded(world)
        await note(world.platform, OPERATOR, "looked")
        assert 0 == (await wongate.run(world, "audit"))[0]
        await change(
            world, "UPDATE payment SET refunded = 401", "UPDATE audit_entry SET action = 'looked away'"
        )
        code, said = await wongate.run(world, "audit")
        assert (1, True, True) == (
            code,
            "captured 1000, refunds done 400 (booked 401), in work 0 (reserved 0)\n" in said,
            "audit log: 1 rows, breaks at row 1" in said or "audit log: 0 rows, breaks at row 1" in said,
        ), said
        assert ["I1", "I6"] == [line[:2] for line in said.splitlines() if line.startswith("I")], said


async def test_callbacks_signed_before_a_rotation_are_not_called_changed(
    open_world: OpenWorld, wongate: CommandLine
):
    async with open_world() as world:
        await world.paid_sale()
        async with world.platform.database.transaction() as tx:
            await tx.execute(
                "UPDATE project SET previous_sealed_secret = sealed_secret, sealed_secret = $1, changed_at = $2",
                world.platform.vault.seal("another secret", place=f"project/{PROJECT_ID}/secret"),
                world.clock.now().replace(year=world.clock.now().year + 1),
            )
        code, said = await wongate.run(world, "audit")
        assert 0 == code, said


async def test_many_findings_are_cut_and_counted(database: str, open_world: OpenWorld, wongate: CommandLine):
    async with open_world(url=database, audited=False) as world:
        for _ in range(60):
            await world.sale(callback__force_disable=1)
        await change(world, "UPDATE payment SET reserved = 1")
        code, said = await wongate.run(world, "audit")
        # Each of them breaks I1 and I6.
        assert (1, True, True) == (code, "... and 70 more\n" in said, ": 120 findings\n" in said), said


# --- reconcile ---


async def tid(sale: Sale) -> str:
    reference: str = (await sale.operations())[0]["reference"]
    return reference


async def listed(world: World) -> list[tuple[str, str, Any, Any]]:
    rows = await world.rows("SELECT bucket, reference, ours, theirs FROM difference ORDER BY bucket")
    return [tuple(row) for row in rows]


async def settlement(world: World, path: Path, *lines: str) -> Path:
    await asyncio.to_thread(
        path.write_text, "\n".join(["tid,moid,amount,cancelled", *lines, ""]), "utf-8-sig"
    )
    return path


async def test_books_that_agree_by_inquiry(open_world: OpenWorld, wongate: CommandLine):
    async with open_world() as world:
        await a_bit_of_everything(world)
        code, said = await wongate.run(world, "reconcile")
        assert (0, "only ours: 0, only theirs: 0, different: 0, unresolved: 0") == (
            code,
            said.splitlines()[-1],
        ), said
        assert [] == await listed(world)


async def test_books_that_agree_with_a_file(open_world: OpenWorld, wongate: CommandLine, tmp_path: Path):
    async with open_world() as world:
        whole, part = await world.paid_sale(payment__amount=1234567), await partly_refunded(world)
        file = await settlement(
            world,
            tmp_path / "november.csv",
            f'{await tid(whole)},{await whole.moid()},"1,234,567",0',
            f"{await tid(part)},{await part.moid()},1000,0",
            f"{await tid(part)},{await part.moid()},-400,",
        )
        code, said = await wongate.run(world, "reconcile", "--file", str(file))
        assert 0 == code, said


async def test_a_cancel_made_elsewhere_is_different(open_world: OpenWorld, wongate: CommandLine):
    async with open_world(audited=False) as world:
        sale, sound = await world.paid_sale(), await world.paid_sale()
        await cancel_elsewhere(sale)
        code, said = await wongate.run(world, "reconcile")
        reference = await tid(sale)
        assert [("different", reference, 1000, 0)] == await listed(world)
        assert (1, True, False) == (code, f"{reference}" in said, await tid(sound) in said), said
        assert "ours 1,000 won, theirs 0 won" in said


async def test_money_that_we_gave_up_and_the_provider_kept_is_different(
    database: str, open_world: OpenWorld, wongate: CommandLine
):
    async with open_world(url=database, audited=False) as world:
        sale = await world.paid_sale()
        await change(world, "UPDATE operation SET status = 'decline'")
        code, said = await wongate.run(world, "reconcile")
        assert [("different", await tid(sale), 0, None)] == await listed(world)
        assert (1, True) == (code, "ours 0 won, theirs approved" in said), said


async def test_an_inquiry_without_an_answer_is_a_difference(open_world: OpenWorld, wongate: CommandLine):
    async with open_world() as world:
        sale = await world.paid_sale()
        await world.simulator.fault("inquiry", "http_500", tid=await tid(sale), times=2)
        code, said = await wongate.run(world, "reconcile")
        assert (1, True) == (code, "theirs without an answer" in said), said


async def test_an_answer_that_was_only_late_is_no_difference(open_world: OpenWorld, wongate: CommandLine):
    async with open_world() as world:
        sale = await world.paid_sale()
        await world.simulator.fault("inquiry", "http_500", tid=await tid(sale), times=1)
        assert 0 == (await wongate.run(world, "reconcile"))[0]


async def test_what_is_unresolved_has_its_own_bucket_and_is_no_mistake(
    open_world: OpenWorld, wongate: CommandLine, tmp_path: Path
):
    async with open_world() as world:
        sale = await unknown_approval(world)
        reference = (await sale.books())["tid"]
        file = await settlement(world, tmp_path / "s.csv", f"{reference},{await sale.moid()},1000,0")
        code, said = await wongate.run(world, "reconcile", "--file", str(file))
        assert (0, [("unresolved", reference, 0, 1000)]) == (code, await listed(world)), said


async def test_every_bucket_from_a_file(open_world: OpenWorld, wongate: CommandLine, tmp_path: Path):
    async with open_world() as world:
        theirs_less, missing, sound = [await world.paid_sale() for _ in range(3)]
        file = await settlement(
            world,
            tmp_path / "november.csv",
            f"{await tid(theirs_less)},,1000,300",
            f"{await tid(sound)},,1000,0",
            "foreign01m01012611230000001234,shop7,5000,0",
            "foreign01m01012611230000005678,shop8,5000,5000",
        )
        code, said = await wongate.run(world, "reconcile", "--file", str(file))
        assert [
            ("different", await tid(theirs_less), 1000, 700),
            ("only ours", await tid(missing), 1000, None),
            ("only theirs", "foreign01m01012611230000001234", None, 5000),
        ] == await listed(world)
        assert (1, "only ours: 1, only theirs: 1, different: 1, unresolved: 0") == (
            code,
            said.splitlines()[-1],
        )


async def moved_around(world: World) -> tuple[list[str], str]:
    """The lines of a list that ends at the moment that is returned too; here things went on an hour later."""
    listed_whole, given_back, missing = [await world.paid_sale() for _ in range(3)]
    lines = [f"{await tid(sale)},,1000,0" for sale in (listed_whole, given_back)]
    end = world.clock.now().isoformat()
    world.clock.advance(3600)
    await given_back.refund(payment__amount=400, payment__currency="KRW")
    await world.paid_sale()
    await world.work()
    assert missing.payment_id
    return lines, end


async def test_what_is_newer_than_the_list_is_counted_and_no_difference(
    open_world: OpenWorld, wongate: CommandLine, tmp_path: Path
):
    async with open_world() as world:
        wongate.environment.setenv("WONGATE_CLOCK_FILE", str(world.simulator.clock_file))
        lines, end = await moved_around(world)
        file = str(await settlement(world, tmp_path / "s.csv", *lines))
        code, said = await wongate.run(world, "reconcile", "--file", file, "--complete-until", end)
        summary = "only ours: 1, only theirs: 0, different: 0, unresolved: 0, newer than the list: 2"
        assert (1, summary) == (code, said.splitlines()[-1]), said
        assert ["only ours"] == [bucket for bucket, *_ in await listed(world)]
        code, said = await wongate.run(world, "reconcile", "--file", file)
        assert "only ours: 2, only theirs: 0, different: 1, unresolved: 0" == said.splitlines()[-1]


@pytest.mark.parametrize("zone", ["+00:00", "", "Z"], ids=["UTC", "Seoul, not named", "Z"])
async def test_a_list_with_moments_says_itself_until_when_it_goes(
    open_world: OpenWorld, wongate: CommandLine, tmp_path: Path, zone: str
):
    async with open_world() as world:
        lines, end = await moved_around(world)
        moment = datetime.fromisoformat(end)
        earlier = moment - timedelta(days=1)
        if not zone:
            moment, earlier = (at + timedelta(hours=9) for at in (moment, earlier))
        texts = [f"{at:%Y-%m-%d %H:%M:%S}{zone}" for at in (earlier, moment)]
        file = tmp_path / "s.csv"
        rows = [
            f"{lines[0]},{texts[1]}",
            f"{lines[1]},{texts[0]}",
            f"{lines[0].split(',')[0]},,0,0,{texts[0]}",
        ]
        await asyncio.to_thread(file.write_text, "\n".join(["tid,moid,amount,cancelled,at", *rows, ""]))
        _, said = await wongate.run(world, "reconcile", "--file", str(file))
        summary = "only ours: 1, only theirs: 0, different: 0, unresolved: 0, newer than the list: 2"
        assert summary == said.splitlines()[-1], said


async def test_every_bucket_from_the_simulators_books(
    database: str, open_world: OpenWorld, wongate: CommandLine
):
    """Its books hold every test's payments, so the foreign ones are not counted but looked for."""
    async with open_world(url=database, audited=False) as world:
        elsewhere, lost = await world.paid_sale(), await world.paid_sale()
        invented = await world.paid_sale()
        await cancel_elsewhere(elsewhere)
        lost_tid = await tid(lost)
        invented_tid = await tid(invented)
        await change(
            world,
            f"UPDATE operation SET reference = 'invented' WHERE reference = '{invented_tid}'",
            f"UPDATE operation SET reference = '' WHERE reference = '{lost_tid}'",
        )
        code, _ = await wongate.run(world, "reconcile", "--simulator", world.simulator.url)
        found = {(bucket, reference) for bucket, reference, _, _ in await listed(world)}
        assert {
            ("different", await tid(elsewhere)),
            ("only theirs", lost_tid),
            ("only ours", "invented"),
        } <= found
        assert 1 == code


async def test_older_sales_are_not_taken_for_foreign_ones(
    open_world: OpenWorld, wongate: CommandLine, tmp_path: Path
):
    """`--since` leaves our older sales out, and then their lines in the provider's list too."""
    async with open_world() as world:
        older = await world.paid_sale()
        world.clock.advance(3600)
        since = world.clock.now().isoformat()
        newer = await world.paid_sale()
        file = await settlement(
            world,
            tmp_path / "s.csv",
            f"{await tid(older)},,1000,0",
            f"{await tid(newer)},,1000,0",
        )
        code, said = await wongate.run(world, "reconcile", "--since", since, "--file", str(file))
        assert (0, []) == (code, await listed(world)), said


async def test_a_payment_that_moves_while_books_are_compared_is_no_difference(
    open_world: OpenWorld, wongate: CommandLine, tmp_path: Path
):
    """The list was read before the refund came through, our rows after it; the second look finds both sides again."""
    async with open_world() as world:
        sale = await world.paid_sale()
        path = tmp_path / "s.csv"
        await settlement(world, path, f"{await tid(sale)},,1000,1000")
        running = asyncio.create_task(wongate.run(world, "reconcile", "--file", str(path)))
        await sale.refund()
        await world.work()
        code, said = await running
        assert (0, []) == (code, await listed(world)), said


async def cancel_elsewhere(sale: Sale) -> None:
    """Somebody cancels in the provider's own back office: the platform's client, but not its books."""
    project = await sale.world.platform.project(PROJECT_ID)
    assert project is not None
    outcome, _ = await sale.world.platform.provider(project).cancel(
        project.account,
        await tid(sale),
        order_number=await sale.moid(),
        cancel_number=9,
        amount=1000,
        whole=True,
        reason="by hand",
    )
    assert "Approved" == type(outcome).__name__


# --- mistakes ---


@pytest.mark.parametrize(
    "text, said",
    [
        ("a,b\n1,2\n", "the columns tid, moid, amount, cancelled are needed"),
        ("tid,moid,amount,cancelled\nT1,m,12.50,0\n", "line 2: '12.50' is no amount in whole won"),
        ("tid,moid,amount,cancelled\nT1,m,100,0\nT2,m\n", "line 3: '' is no amount in whole won"),
        ("tid,moid,amount,cancelled\nT1,m,100,0\n\ufffdT2,\ud7ff,,\n", "line 3: '' is no amount"),
        ("tid,moid,amount,cancelled,at\nT1,m,1,0,\nT2,m,1,0,noon\n", "line 3: 'noon' is no moment such as"),
        (b"tid,moid,amount\n\xb0\xa1,1,1\n", "is no CSV file in UTF-8"),
    ],
)
async def test_a_list_that_cannot_be_read_is_said_in_one_line(
    open_world: OpenWorld, wongate: CommandLine, tmp_path: Path, text: str | bytes, said: str
):
    path = tmp_path / "settlement.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    async with open_world() as world:
        code, printed = await wongate.run(world, "reconcile", "--file", str(path))
        assert (2, 1, True) == (code, printed.count("\n"), said in printed), printed


async def test_what_cannot_be_reached_is_said_in_one_line(
    open_world: OpenWorld, wongate: CommandLine, tmp_path: Path
):
    async with open_world() as world:
        for arguments in (
            ("--file", str(tmp_path / "nowhere.csv")),
            ("--simulator", f"http://127.0.0.1:{free_port()}"),
            ("--simulator", "ftp://127.0.0.1"),
            ("--simulator", world.merchant.url),
        ):
            code, printed = await wongate.run(world, "reconcile", *arguments)
            assert (2, 1, True) == (code, printed.count("\n"), printed.startswith("wongate: ")), printed


async def test_a_database_that_is_not_there_is_said_in_one_line(open_world: OpenWorld, wongate: CommandLine):
    async with open_world() as world:
        world.database_url = f"postgresql://wongate@127.0.0.1:{free_port()}/wongate"
        for command in ("audit", "reconcile"):
            code, printed = await wongate.run(world, command)
            assert (2, 1, True) == (code, printed.count("\n"), "cannot connect to the database" in printed), (
                printed
            )
