"""What `wongate` understands: every command with its options, its help and an example."""

import argparse
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from wongate import __version__
from wongate.domain.rights import Right, Role

ROLES, RIGHTS = [role.value for role in Role], [right.value for right in Right]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line like every other error; argparse would print the usage above it."""
        self.exit(2, f"wongate: {message} (see `{self.prog} --help`)\n")


def parser() -> argparse.ArgumentParser:
    whole = _Parser(
        prog="wongate",
        description="A self-hosted payment platform for Payco, wire-compatible with ECommPay's public APIs.",
        epilog="Start with `wongate sandbox`: everything on this machine, offline, nothing to set up.",
    )
    whole.add_argument("--version", action="version", version=f"wongate {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_sandbox(commands)
    _add_serving(commands)
    _add_keeping(commands)
    _add_books(commands)
    _add_sign(commands)
    return whole


def _command(
    commands: "argparse._SubParsersAction[Any]",
    name: str,
    run: str,
    description: str,
    example: str,
) -> argparse.ArgumentParser:
    """`run` names what carries the command out, as `module:function`: nothing is imported to print `--help`."""
    added: argparse.ArgumentParser = commands.add_parser(
        name,
        help=description[0].lower() + description[1:].split(". ")[0].rstrip("."),
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(command=run)
    return added


def _add_sandbox(commands: "argparse._SubParsersAction[Any]") -> None:
    sandbox = _command(
        commands,
        "sandbox",
        "sandbox:command",
        "Runs everything on this machine: database, platform, worker, simulated NICEPAY and a demo shop.",
        "wongate sandbox --data ./my-sandbox --port 9000",
    )
    sandbox.add_argument(
        "--data", type=Path, default=Path(".sandbox"), help="folder that keeps everything (.sandbox)"
    )
    sandbox.add_argument(
        "--port", type=int, default=8080, help="the platform; simulator and shop take the next two"
    )
    sandbox.add_argument(
        "--history", type=int, metavar="DAYS", help="make up so many past days of payments, once"
    )
    sandbox.add_argument(
        "--per-day", type=int, default=300, metavar="N", help="payments of such a day on average (300)"
    )
    sandbox.add_argument(
        "--die-with-parent",
        type=int,
        metavar="PID",
        help="end when the starting process (PID) ends, as `make run` asks",
    )
    code = _command(
        commands,
        "code",
        "sandbox:code",
        "Prints the one-time code that the running sandbox's Dashboard asks for now, in place of an authenticator app.",
        "wongate code --data ./my-sandbox",
    )
    code.add_argument("--data", type=Path, default=Path(".sandbox"), help="the sandbox's folder (.sandbox)")


def _add_serving(commands: "argparse._SubParsersAction[Any]") -> None:
    serve = _command(
        commands,
        "serve",
        "run_commands:serve",
        "Serves Gate and the pages. Settings come from WONGATE_* variables (.env.example).",
        "WONGATE_DATABASE_URL=postgresql://... WONGATE_MASTER_KEY_FILE=/run/key wongate serve --processes 2",
    )
    serve.add_argument("--host", help="address to listen on (WONGATE_HOST)")
    serve.add_argument("--port", type=int, help="port to listen on (WONGATE_PORT)")
    serve.add_argument("--processes", type=int, help="server processes (WONGATE_PROCESSES)")
    _command(
        commands,
        "worker",
        "run_commands:worker",
        "Delivers callbacks, sends refunds, watches limit times, finds out unknown outcomes. Run any number.",
        "wongate worker",
    )
    simulate = _command(
        commands,
        "simulate",
        "run_commands:simulate",
        "Runs the NICEPAY simulator alone; options are its own.",
        "wongate simulate --port 8081 --data ./simulator",
    )
    simulate.add_argument("arguments", nargs=argparse.REMAINDER, help="see `wongate simulate -- --help`")


def _add_keeping(commands: "argparse._SubParsersAction[Any]") -> None:
    migrate = _command(
        commands,
        "migrate",
        "commands:migrate",
        "Brings the database's tables up to date. Safe while servers run.",
        "WONGATE_DATABASE_URL=postgresql://... wongate migrate",
    )
    migrate.add_argument(
        "--distribute",
        action="store_true",
        help="then spread the tables over the servers of a Citus cluster (docs/scale.md)",
    )
    database = _command(
        commands,
        "db",
        "database_commands:dump",
        "Copies the whole database to a file, and back.",
        "wongate db dump ./wongate-2026-11-23.zip",
    )
    _add_database(database.add_subparsers(title="actions", metavar="ACTION", required=True))
    _command(
        commands,
        "rekey",
        "key_commands:rekey_all",
        "Seals every stored secret anew with the first key of WONGATE_MASTER_KEY; the others there still open the old ones. "
        "Safe while servers run, and to repeat. Exit code 1: a server still seals with another key.",
        'WONGATE_MASTER_KEY="$(cat new.key),$(cat old.key)" wongate rekey',
    )
    project = _command(
        commands,
        "project",
        "commands:project_list",
        "Makes and shows projects: the merchants' shops, each with an id and a secret.",
        "wongate project create --name 'My shop' --account 1 --callback-url https://shop.example/callback",
    )
    _add_project(project.add_subparsers(title="actions", metavar="ACTION", required=True))
    account = _command(
        commands,
        "account",
        "commands:account_list",
        "Makes and shows accounts at the PG: a merchant id (MID), its key, its hosts.",
        "wongate account create --mid nicepay00m --key-file ./merchant.key",
    )
    _add_account(account.add_subparsers(title="actions", metavar="ACTION", required=True))
    user = _command(
        commands,
        "user",
        "user_commands:user_list",
        "Makes and changes people of the Dashboard. The first Merchant admin is made here.",
        "wongate user create anna@shop.example --role merchant_admin --project 1001",
    )
    _add_user(user.add_subparsers(title="actions", metavar="ACTION", required=True))


def _add_books(commands: "argparse._SubParsersAction[Any]") -> None:
    _command(
        commands,
        "audit",
        "book_commands:check",
        "Checks the invariants of the books and the audit log's chain, and lists what is unresolved. Exit code 1: broken.",
        "wongate audit",
    )
    reconcile = _command(
        commands,
        "reconcile",
        "book_commands:reconcile",
        "Compares our books with the provider's, by inquiry or with a list of its own, and lets the list settle refunds of "
        "unknown outcome. Exit code 1: they differ.",
        "wongate reconcile --file settlement.csv --settle --complete-until 2026-11-22T23:59:59+09:00",
    )
    reconcile.add_argument("--since", type=_moment, help="only sales from this date on")
    books = reconcile.add_mutually_exclusive_group()
    books.add_argument(
        "--file",
        type=Path,
        help="settlement CSV: tid, moid, amount, cancelled, and at, the moment of each, if it has them",
    )
    books.add_argument("--simulator", metavar="URL", help="the simulator's books")
    reconcile.add_argument(
        "--settle",
        action="store_true",
        help="book refunds of unknown outcome as the list has them; what it shows undone is sent again",
    )
    reconcile.add_argument(
        "--complete-until",
        type=_moment,
        metavar="MOMENT",
        help="until when the file has every approval and every cancel: what is newer is counted and is no difference, and only "
        "older refunds are settled; the latest `at` in the file when left out",
    )


def _add_database(actions: "argparse._SubParsersAction[Any]") -> None:
    dump = _command(
        actions,
        "dump",
        "database_commands:dump",
        "Writes a copy of this moment. Servers and workers may go on meanwhile.",
        "WONGATE_DATABASE_URL=postgresql://... wongate db dump ./wongate-2026-11-23.zip",
    )
    dump.add_argument("file", type=Path, help="a zip file of CSV, made for its owner's eyes only")
    restore = _command(
        actions,
        "restore",
        "database_commands:restore",
        "Puts a copy into an empty database, all or nothing. Compare the books with the provider's afterwards.",
        "WONGATE_DATABASE_URL=postgresql://... wongate db restore ./wongate-2026-11-23.zip",
    )
    restore.add_argument("file", type=Path)


def _add_project(actions: "argparse._SubParsersAction[Any]") -> None:
    create = _command(
        actions,
        "create",
        "commands:project_create",
        "Makes a project and prints its id and secret, the secret this once.",
        "wongate project create --name 'My shop' --account 1 --set limit_time_s=900",
    )
    create.add_argument("--name", required=True)
    create.add_argument(
        "--account", type=int, required=True, help="account at the PG, from `wongate account list`"
    )
    create.add_argument("--id", type=int, help="project id; the next free one when left out")
    create.add_argument("--callback-url", default="", help="where callbacks go")
    create.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting, value as JSON"
    )
    _command(actions, "list", "commands:project_list", "Lists projects.", "wongate project list")
    show = _command(
        actions,
        "show",
        "commands:project_show",
        "Shows a project, its secret masked.",
        "wongate project show 1001",
    )
    show.add_argument("id", type=int)
    change = _command(
        actions,
        "set",
        "commands:project_set",
        "Changes settings of a project; the change works everywhere within two seconds.",
        "wongate project set 1001 limit_time_s=900 'frame_origins=[\"https://shop.example\"]'",
    )
    change.add_argument("id", type=int)
    change.add_argument("set", nargs="+", metavar="NAME=VALUE")
    rotate = _command(
        actions,
        "rotate-secret",
        "commands:project_rotate",
        "Gives a project a new secret; the old one verifies requests for the overlap, then no more.",
        "wongate project rotate-secret 1001 --overlap-hours 24",
    )
    rotate.add_argument("id", type=int)
    rotate.add_argument("--overlap-hours", type=float, default=24.0)


def _add_account(actions: "argparse._SubParsersAction[Any]") -> None:
    create = _command(
        actions,
        "create",
        "commands:account_create",
        "Makes an account at NICEPAY, or at a simulator.",
        "wongate account create --mid simulated1m --key-file key.txt --simulator http://127.0.0.1:8081",
    )
    create.add_argument("--mid", required=True, help="merchant id, ten characters that end in m")
    create.add_argument(
        "--key-file", type=Path, help="file with the MerchantKey; standard input when left out"
    )
    create.add_argument("--simulator", metavar="URL", help="base URL of a simulator instead of NICEPAY")
    create.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting, value as JSON"
    )
    _command(actions, "list", "commands:account_list", "Lists accounts.", "wongate account list")
    show = _command(actions, "show", "commands:account_show", "Shows an account.", "wongate account show 1")
    show.add_argument("id", type=int)


def _add_user(actions: "argparse._SubParsersAction[Any]") -> None:
    create = _command(
        actions,
        "create",
        "user_commands:user_create",
        "Makes a user and prints the initial password this once.",
        "wongate user create anna@shop.example --name 'Anna Kim' --role merchant_admin --project 1001",
    )
    create.add_argument("login")
    create.add_argument("--name", default="", help="as colleagues see it; the login when left out")
    create.add_argument("--role", action="append", default=[], choices=ROLES, help="may be repeated")
    create.add_argument(
        "--right",
        action="append",
        default=[],
        choices=[right.value for right in Right],
        help="beside the roles'",
    )
    create.add_argument("--project", action="append", default=[], type=int, help="may be repeated")
    create.add_argument("--language", choices=("ko", "en", "ru"), default="en")
    _command(actions, "list", "user_commands:user_list", "Lists users.", "wongate user list")
    for name, function, description in (
        (
            "reset-password",
            "user_reset_password",
            "Gives a user a new initial password and ends the sessions.",
        ),
        (
            "reset-second-factor",
            "user_reset_second_factor",
            "Takes a lost second factor away; it is set up anew.",
        ),
        ("deactivate", "user_deactivate", "Locks a user out at once; nothing of the user's history is lost."),
    ):
        change = _command(
            actions,
            name,
            f"user_commands:{function}",
            description,
            f"wongate user {name} anna@shop.example",
        )
        change.add_argument("login")
        if name == "deactivate":
            change.add_argument("--undo", dest="activate", action="store_true", help="let the user in again")


def _add_sign(commands: "argparse._SubParsersAction[Any]") -> None:
    sign = _command(
        commands,
        "sign",
        "commands:sign",
        "Prints what is signed in a message and the signature, and explains the first difference to a given one: exit code 1.",
        "WONGATE_SECRET=... wongate sign request.json --signature 'Amb8vHLh...=='",
    )
    sign.add_argument("file", nargs="?", type=Path, help="JSON; standard input when left out")
    sign.add_argument(
        "--secret", help="project secret; better in WONGATE_SECRET, where `ps` does not show it"
    )
    sign.add_argument(
        "--fill", action="store_true", help="print the message itself with its signature in place"
    )
    sign.add_argument("--signature", help="a signature to compare; the message's own when left out")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.astimezone()
