"""`wongate sandbox`: database, platform, worker, simulated NICEPAY and demo shop on this machine, from one command, offline."""

import argparse
import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import quote

import asyncpg

from wongate import sandbox_login
from wongate.app import opened
from wongate.commands import create_project, save_account
from wongate.connections import embedded
from wongate.connections.children import Child, NoAnswer, Supervisor
from wongate.connections.clock import MovableClock, SystemClock
from wongate.connections.database import Database
from wongate.connections.vault import Vault, new_master_key
from wongate.domain import one_time
from wongate.domain.one_time import SECRET_BYTES, spelled
from wongate.flows.passwords import initial_password
from wongate.history.fill import TooLong, Wish, fill
from wongate.history.progress import ProgressBar
from wongate.mistake import Mistake
from wongate.providers.nicepay.accounts import account_settings_for_simulator
from wongate.sandbox_login import Login
from wongate.settings import Settings
from wongate.store import projects
from wongate.store.migrate import migrate

HOST = "127.0.0.1"
ACCOUNT_ID = 1
SHOP_NAME = "Wongate demo shop"
LOOPBACK = "127.0.0.0/8,::1,localhost"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Made once for a data folder, the same ever after."""

    master_key: str
    project_id: int
    secret: str
    merchant_id: str
    merchant_key: str
    dashboard_password: str
    totp_secret: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """Members of `sandbox.json`."""

    gate_url: str
    page_url: str
    dashboard_url: str
    data_api_url: str
    simulator_url: str
    shop_url: str
    database_url: str
    project_id: int
    secret: str
    dashboard_login: Login


def command(options: argparse.Namespace) -> int:
    return run(options.data, options.port, _history(options), options.die_with_parent)


def code(options: argparse.Namespace) -> int:
    """By the machine's own clock, as a phone: moving the sandbox's changes no code. Each signs in once."""
    announcement = options.data / "sandbox.json"
    try:
        login = json.loads(announcement.read_text())["dashboard_login"]
    except FileNotFoundError:
        raise Mistake(
            f"{announcement} is not there: start `wongate sandbox`, or name its folder with --data"
        ) from None
    print(one_time.code_of(login["totp_secret"], one_time.step_of(SystemClock().now())))
    return 0


def _history(options: argparse.Namespace) -> Wish | None:
    if options.history is None:
        return None
    for name, value in (("--history", options.history), ("--per-day", options.per_day)):
        if value < 1:
            raise Mistake(f"{name} {value}: a number from 1 on is needed")
    return Wish(options.history, options.per_day)


def run(data: Path, port: int, history: Wish | None = None, parent: int | None = None) -> int:
    """Returns when it has been told to stop, or `parent`, the process that started it, has gone. Raises Mistake."""
    data = data.resolve()
    _check_ports(port)
    try:
        with Supervisor(_say) as supervisor:
            server = embedded.start(data / "database", progress=_say)
            supervisor.keep(server)
            announcement = data / "sandbox.json"
            announcement.unlink(missing_ok=True)
            credentials = _credentials(data / "credentials.json")
            asyncio.run(_prepare(server.url, credentials, port))
            if history is not None:
                asyncio.run(_make_up(server.url, credentials, history, MovableClock(data / "clock")))
            addresses = _addresses(port, server.url, credentials)
            for child, url in _children(data, addresses, credentials, port):
                supervisor.start(child, answers_at=url)
            with Announcement(announcement, addresses):
                print(_table(addresses), flush=True)
                supervisor.run(lambda: parent is None or os.getppid() == parent)
    except (embedded.EmbeddedError, NoAnswer, TooLong, asyncpg.PostgresError, OSError) as error:
        raise Mistake(str(error)) from None
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _check_ports(port: int) -> None:
    if not 1 <= port <= 65533:
        raise Mistake(f"--port {port}: a number from 1 to 65533 is needed")
    for number in range(port, port + 3):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, number))
            except OSError as error:
                raise Mistake(
                    f"port {number} is taken ({error.strerror}); three in a row are needed: try --port {port + 1000}"
                ) from None


def _credentials(path: Path) -> Credentials:
    """Kept from the first start on; a folder of an older version is given what it lacks."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    made = {
        "master_key": new_master_key(),
        "project_id": 1001,
        "secret": secrets.token_urlsafe(32),
        "merchant_id": "wongate01m",
        "merchant_key": secrets.token_urlsafe(64),
        "dashboard_password": initial_password(),
        "totp_secret": spelled(secrets.token_bytes(SECRET_BYTES)),
    }
    credentials = Credentials(**{**made, **kept})
    if asdict(credentials) != kept:
        _write_private(path, json.dumps(asdict(credentials), indent=2))
    return credentials


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, readable by its owner alone."""
    draft = path.with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_text(text + "\n")
    draft.replace(path)


async def _prepare(url: str, credentials: Credentials, port: int) -> None:
    """Tables, the account at the simulator (whose port may have changed), and the project."""
    await migrate(url)
    vault = Vault.from_text(credentials.master_key)
    database = await Database.connect(url, size=1)
    try:
        async with database.transaction() as tx:
            settings = {**account_settings_for_simulator(f"http://{HOST}:{port + 1}"), "notice_ips": [HOST]}
            await save_account(
                tx, vault, ACCOUNT_ID, credentials.merchant_id, credentials.merchant_key, settings
            )
            if await projects.load(tx, credentials.project_id) is None:
                await create_project(
                    tx,
                    vault,
                    credentials.project_id,
                    SHOP_NAME,
                    credentials.secret,
                    ACCOUNT_ID,
                    {
                        "callback_url": f"http://{HOST}:{port + 2}/callbacks",
                        # A developer's own page, whatever port it is served on, may open the payment window.
                        "frame_origins": [f"http://{HOST}:*", "http://localhost:*"],
                    },
                )
    finally:
        await database.close()
    async with opened(Settings(database_url=url, master_key=credentials.master_key)) as platform:
        await sandbox_login.prepare(platform, _login(credentials), credentials.project_id)


async def _make_up(url: str, credentials: Credentials, history: Wish, clock: MovableClock) -> None:
    """A past before the clock of this sandbox, made up at its first start with `--history`."""
    settings = Settings(database_url=url, master_key=credentials.master_key)
    bar = ProgressBar("Making up the past")
    async with opened(settings) as platform:
        project = await platform.project(credentials.project_id)
        assert project is not None  # noqa: S101 - made a moment ago
        made = await fill(replace(platform, clock=clock), project, url, history, bar.show)
    bar.end(f"{made:,} payments")


def _login(credentials: Credentials) -> Login:
    return Login(sandbox_login.USER, credentials.dashboard_password, credentials.totp_secret)


def _addresses(port: int, database_url: str, credentials: Credentials) -> Addresses:
    platform = f"http://{HOST}:{port}"
    return Addresses(
        gate_url=platform,
        page_url=f"{platform}/payment",
        dashboard_url=f"{platform}/dashboard",
        data_api_url=f"{platform}/v1",
        simulator_url=f"http://{HOST}:{port + 1}",
        shop_url=f"http://{HOST}:{port + 2}",
        database_url=database_url,
        project_id=credentials.project_id,
        secret=credentials.secret,
        dashboard_login=_login(credentials),
    )


def _children(
    data: Path, addresses: Addresses, credentials: Credentials, port: int
) -> list[tuple[Child, str | None]]:
    """Each with the address that answers once it is ready."""
    logs = data / "logs"
    logs.mkdir(exist_ok=True)
    secret = {"WONGATE_SHOP_SECRET": addresses.secret}
    simulator = _simulator(data, addresses, _merchants(data, addresses, credentials), port)
    environment = _environment(data, addresses, credentials, port)
    wongate = [sys.executable, "-m", "wongate"]
    return [
        (
            Child("simulator", simulator, secret, logs / "simulator.log"),
            f"{addresses.simulator_url}/healthz",
        ),
        (
            Child("platform", [*wongate, "serve"], environment, logs / "platform.log"),
            f"{addresses.gate_url}/readyz",
        ),
        (Child("worker", [*wongate, "worker"], environment, logs / "worker.log"), None),
    ]


def _merchants(data: Path, addresses: Addresses, credentials: Credentials) -> Path:
    """Whom the simulator knows, and where it sends notices."""
    path = data / "merchants.json"
    notices = {"notices": True, "notice_url": f"{addresses.gate_url}/notice/nicepay"}
    merchant = {"mid": credentials.merchant_id, "key": credentials.merchant_key, "name": SHOP_NAME, **notices}
    _write_private(path, json.dumps([merchant]))
    return path


def _simulator(data: Path, addresses: Addresses, merchants: Path, port: int) -> list[str]:
    options = {
        "--host": HOST,
        "--port": port + 1,
        "--data": data / "simulator",
        "--clock-file": data / "clock",
        "--merchants": merchants,
        "--shop-port": port + 2,
        "--gate-url": addresses.gate_url,
        "--page-url": addresses.page_url,
        "--project-id": addresses.project_id,
    }
    return [
        sys.executable,
        "-m",
        "wongate_simulator",
        *(str(part) for pair in options.items() for part in pair),
    ]


def _environment(data: Path, addresses: Addresses, credentials: Credentials, port: int) -> dict[str, str]:
    return {
        "WONGATE_DATABASE_URL": addresses.database_url,
        "WONGATE_MASTER_KEY": credentials.master_key,
        "WONGATE_PAGE_URL": addresses.gate_url,
        "WONGATE_HOST": HOST,
        "WONGATE_PORT": str(port),
        "WONGATE_CLOCK_FILE": str(data / "clock"),
        "WONGATE_CALLBACK_ALLOW": LOOPBACK,
        "WONGATE_CALLBACK_HTTP": "1",
        "WONGATE_MAIL_URL": f"file:{quote(str(data / 'mailbox'))}",
        "WONGATE_MAIL_FROM": "Wongate sandbox <reports@sandbox.example>",
    }


class Announcement:
    """`sandbox.json` while the sandbox runs. It goes even when we are killed: a shell waits for our end of a pipe to close."""

    def __init__(self, path: Path, addresses: Addresses) -> None:
        self._path = path
        self._text = json.dumps(asdict(addresses), indent=2)
        self._broom: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> None:
        self._broom = subprocess.Popen(
            ["/bin/sh", "-c", 'cat > /dev/null; rm -f "$0"', str(self._path)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        _write_private(self._path, self._text)

    def __exit__(self, *_error: object) -> None:
        self._path.unlink(missing_ok=True)
        if self._broom and self._broom.stdin:
            self._broom.stdin.close()
            self._broom.wait(5)


def _table(addresses: Addresses) -> str:
    rows = [
        ("Demo shop", f"{addresses.shop_url}        <- buy something here"),
        ("Gate", f"{addresses.gate_url}/v2"),
        (
            "Simulated NICEPAY",
            f"{addresses.simulator_url}        <- control API, faults, clock, exchange log",
        ),
        ("Project id", str(addresses.project_id)),
        ("Secret", addresses.secret),
        ("Dashboard", addresses.dashboard_url),
        ("  user", addresses.dashboard_login.user),
        ("  password", addresses.dashboard_login.password),
        ("  TOTP secret", f"{addresses.dashboard_login.totp_secret}        <- or: wongate code"),
    ]
    lines = [f"  {name:<18} {value}" for name, value in rows]
    return "\n".join(["", "Wongate sandbox is ready. Ctrl-C stops it.", "", *lines, ""])
