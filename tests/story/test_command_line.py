"""The command line: each mistake is one clear line and exit code 2, each command explains itself with an example."""

import argparse
import base64
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from tests.story.sandbox import three_free_ports

from wongate.__main__ import main
from wongate.command_line import parser
from wongate.connections.clock import SystemClock
from wongate.domain import one_time
from wongate.domain.signature import sign
from wongate.settings import load

KEY = base64.b64encode(b"k" * 32).decode()
OTHER_KEY = base64.b64encode(b"o" * 32).decode()


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the developer's own settings, and a folder to leave things in."""
    for name in ("DATABASE_URL", "MASTER_KEY", "SECRET", "PORT"):
        monkeypatch.delenv(f"WONGATE_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def installed(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migrated database, named in the environment as an operator would."""
    monkeypatch.setenv("WONGATE_DATABASE_URL", database)
    monkeypatch.setenv("WONGATE_MASTER_KEY", KEY)


def run(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a mistake is answered with."""
    capsys.readouterr()
    assert 2 == run(*arguments)
    out, err = capsys.readouterr()
    assert ("", 1) == (out, err.count("\n")), err
    assert err.startswith("wongate: ")
    assert "Traceback" not in err
    return err


def every_command(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path] if path else []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                found += every_command(below, (*path, name))
    return found


def carried_out_by(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from (value for value in [parser.get_default("command")] if value)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from carried_out_by(below)


@pytest.mark.parametrize("command", every_command(parser()), ids=" ".join)
def test_every_command_explains_itself_with_an_example(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
):
    assert 0 == run(*command, "--help")
    said = capsys.readouterr().out
    assert "example:\n" in said
    assert f"wongate {' '.join(command)}" in said.split("example:")[1]


@pytest.mark.parametrize("module_and_function", sorted(set(carried_out_by(parser()))))
def test_every_command_names_a_function_that_exists(module_and_function: str):
    module, function = module_and_function.split(":")
    assert callable(getattr(import_module(f"wongate.{module}"), function))


@pytest.mark.parametrize(
    "arguments, says",
    [
        ((), "COMMAND"),
        (("sell",), "invalid choice: 'sell'"),
        (("sandbox", "--prot", "9"), "--prot"),
        (("sandbox", "--port", "abc"), "invalid int value: 'abc'"),
        (("sandbox", "--port", "0"), "from 1 to 65533"),
        (("sandbox", "--port", "65535"), "from 1 to 65533"),
        (("project",), "ACTION"),
        (("project", "show"), "id"),
        (("project", "show", "x"), "invalid int value"),
        (("project", "create"), "--name"),
        (("account", "create"), "--mid"),
        (("serve",), "WONGATE_DATABASE_URL is missing"),
        (("worker",), "WONGATE_DATABASE_URL is missing"),
        (("migrate",), "WONGATE_DATABASE_URL is missing"),
        (("project", "list"), "WONGATE_DATABASE_URL is missing"),
        (("sign",), "WONGATE_SECRET"),
        (("sign", "nowhere.json", "--secret", "x"), "nowhere.json"),
        (("account", "create", "--mid", "nicepay00m", "--key-file", "nowhere"), "nowhere"),
    ],
    ids=lambda item: " ".join(item) if isinstance(item, tuple) else "",
)
def test_a_mistake_on_the_command_line_is_one_line(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
):
    assert says in complaint(capsys, *arguments)


@pytest.mark.parametrize(
    "name, value, says",
    [
        ("WONGATE_PORT", "http", "WONGATE_PORT cannot be read: 'http'"),
        ("WONGATE_CALLBACK_HTTP", "maybe", "WONGATE_CALLBACK_HTTP cannot be read"),
        (
            "WONGATE_KEEP_CALLBACKS_DAYS",
            "39",
            "WONGATE_KEEP_CALLBACKS_DAYS cannot be read: '39' (40 or more are needed)",
        ),
        ("WONGATE_MASTER_KEY", "short", "WONGATE_MASTER_KEY cannot be read (32 random bytes in base64"),
        ("WONGATE_MASTER_KEY_FILE", "/nowhere/key", "WONGATE_MASTER_KEY_FILE"),
        ("WONGATE_DATABASE_URL", "postgresql://127.0.0.1:9/x", "cannot connect to the database"),
        ("WONGATE_DATABASE_URL", "nonsense", "database"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    name: str, value: str, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WONGATE_DATABASE_URL", "postgresql://127.0.0.1:9/x")
    monkeypatch.setenv("WONGATE_MASTER_KEY", KEY)
    monkeypatch.setenv(name, value)
    assert says in complaint(capsys, "project", "list")
    if name == "WONGATE_DATABASE_URL":
        assert says in complaint(capsys, "migrate")


@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize(
    "name, value, needed",
    [
        ("MASTER_KEY", "c2VjcmV0", "32 random bytes in base64"),
        ("MASTER_KEY", f"{KEY},c2VjcmV0", "32 random bytes in base64"),
        ("PAGE_URL", "pay.example", "https://pay.example"),
        ("PAGE_URL", "https://", "https://pay.example"),
        ("PAGE_URL", "https://pay.example:port", "https://pay.example"),
        ("PAGE_URL", "https://pay.example/?a=b", "https://pay.example"),
        ("PAGE_URL", "", "https://pay.example"),
        ("MAIL_URL", "smtp:user:c2VjcmV0@mail.example", "smtp://user:password@host:587"),
        ("MAIL_URL", "smtp://user:c2VjcmV0/x@mail.example", "smtp://user:password@host:587"),
        ("MAIL_URL", "https://mail.example", "smtps://user:password@host:465"),
        ("CALLBACK_ALLOW", "10.1.0.0/33", "10.1.0.0/16,shop.internal"),
        ("CALLBACK_ALLOW", "shop.internal, https://shop.example", "10.1.0.0/16,shop.internal"),
        ("TRUSTED_PROXIES", "127.0.0.1, proxy.internal", "127.0.0.1,10.0.0.0/8"),
        ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_neither_server_nor_worker_starts_with_a_setting_that_cannot_be_used(
    command: str,
    name: str,
    value: str,
    needed: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("WONGATE_DATABASE_URL", "postgresql://127.0.0.1:9/x")
    monkeypatch.setenv("WONGATE_MASTER_KEY", KEY)
    monkeypatch.setenv(f"WONGATE_{name}", value)
    said = complaint(capsys, command)
    assert said.startswith(f"wongate: WONGATE_{name} cannot be read")
    assert needed in said
    assert "c2VjcmV0" not in said


@pytest.mark.parametrize(
    "name, value, read",
    [
        ("master_key", f"{KEY}, {OTHER_KEY}", f"{KEY}, {OTHER_KEY}"),
        ("page_url", "https://pay.example:8443/pay/", "https://pay.example:8443/pay/"),
        ("page_url", "http://[::1]:8080", "http://[::1]:8080"),
        ("mail_url", "", ""),
        ("mail_url", "smtps://anna:word@mail.example", "smtps://anna:word@mail.example"),
        ("mail_url", "file:/var/mail", "file:/var/mail"),
        ("callback_allow", "10.1.0.0/16, .internal,::1", ("10.1.0.0/16", ".internal", "::1")),
        ("trusted_proxies", "10.0.0.1/8, fd00::/8", ("10.0.0.1/8", "fd00::/8")),
        ("log_level", "debug", "DEBUG"),
    ],
)
def test_settings_are_read_in_every_form_that_is_documented(name: str, value: str, read: object):
    environment = {"WONGATE_DATABASE_URL": "postgresql://127.0.0.1:9/x", "WONGATE_MASTER_KEY": KEY}
    assert read == getattr(load({**environment, f"WONGATE_{name.upper()}": value}), name)


def test_a_database_that_lets_nobody_in_is_one_line(
    installed: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, database: str
):
    password = database.split(":")[2].split("@")[0]
    for url in (database.replace(password, "wrong"), database.replace("/test_", "/nowhere_")):
        monkeypatch.setenv("WONGATE_DATABASE_URL", url)
        for command in ("project list", "migrate"):
            assert "database" in complaint(capsys, *command.split())


def test_a_port_that_is_taken_is_told_with_a_way_out(capsys: pytest.CaptureFixture[str]):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        if port > 64_000:  # the next free ones would be beyond the last
            pytest.skip("an unlucky port")
        assert f"port {port} is taken" in complaint(capsys, "sandbox", "--port", str(port))


def test_a_data_folder_that_is_a_file_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    (tmp_path / "file").write_text("x")
    assert "file" in complaint(
        capsys, "sandbox", "--data", str(tmp_path / "file"), "--port", str(three_free_ports())
    )


@pytest.mark.parametrize(
    "text, says",
    [
        (b"{", "this is not JSON"),
        (b"", "this is not JSON"),
        (b"[1]", "a message is a JSON object"),
        (b"\xff\xfe", "this is not"),
    ],
)
def test_a_message_that_cannot_be_signed_is_told(
    text: bytes, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    (tmp_path / "message").write_bytes(text)
    assert says in complaint(capsys, "sign", "message", "--secret", "x")


@pytest.mark.parametrize(
    "command, says",
    [
        ("project show 99", "there is no project 99"),
        ("project set 99 limit_time_s=5", "there is no project 99"),
        ("project rotate-secret 99", "there is no project 99"),
        ("project create --name x --account 99", "there is no account 99"),
        ("account show 99", "there is no account 99"),
        ("project create --name x --account 1 --set nothing", "is not NAME=VALUE"),
        ("project create --name x --account 1 --set colour=red", "unknown project setting 'colour'"),
        ("project create --name x --account 1 --set limit_time_s=soon", "must be of type int"),
        ("project create --name x --account 1 --set allowed_ips=5", "allowed_ips"),
        ("project create --name x --account 1 --set callback_rules=5", "callback_rules"),
        ('project create --name x --account 1 --set callback_rules=[{"to":"x"}]', "callback_rules"),
        ("project create --name x --account 1 --set amount_min=0", "amount_min: The smallest amount"),
        ("project create --name x --account 1 --callback-url shop.example", "callback_url: "),
        ("project create --name x --account 1 --callback-url http://10.0.0.1/", "callback_url: "),
        ("account create --mid nicepay00m --key-file empty", "the MerchantKey is empty"),
        ("account create --mid nicepay00m --key-file key --set bridge=perhaps", "bridge"),
        ("account create --mid nicepay00m --key-file key --simulator nonsense", "nonsense"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(
    command: str, says: str, installed: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "key").write_text("secret\n")
    if "--account 1" in command:
        assert 0 == run("account", "create", "--mid", "nicepay00m", "--key-file", "key")
    assert says in complaint(capsys, *command.split())
    assert 0 == run("project", "list")
    assert 1 == len(capsys.readouterr().out.splitlines())


def test_secrets_sealed_under_another_master_key_are_told(
    installed: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "key").write_text("secret\n")
    assert 0 == run("account", "create", "--mid", "nicepay00m", "--key-file", "key")
    assert 0 == run("project", "create", "--name", "x", "--account", "1")
    monkeypatch.setenv("WONGATE_MASTER_KEY", OTHER_KEY)
    assert "master key" in complaint(capsys, "project", "show", "1001")


def test_an_operators_day(installed: None, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """From the empty database to a project whose secret was changed; secrets are shown once and never again."""
    (tmp_path / "key").write_text("merchant key\n")
    said = []
    for command in (
        "migrate",
        "account create --mid nicepay00m --key-file key --simulator http://127.0.0.1:8081",
        "account list",
        "account show 1",
        "project create --name shop --account 1 --callback-url https://shop.example/cb --set limit_time_s=900",
        "project create --name other --account 1 --id 77",
        "project list",
        "project set 1001 limit_time_s=600 name_is_wrong=1",
        "project set 1001 limit_time_s=600",
        "project rotate-secret 1001 --overlap-hours 2",
        "project show 1001",
    ):
        code = run(*command.split())
        out, err = capsys.readouterr()
        assert (code == 2) == ("name_is_wrong" in command), (command, err)
        said.append(out)
    assert "nothing to do" in said[0]
    assert "merchant key" not in "".join(said)
    secret = said[4].split("secret")[1].split()[0]
    assert (43, 1) == (len(secret), "".join(said).count(secret))
    assert ["1001", "77"] == [line.split()[0] for line in sorted(said[6].splitlines()[1:])]
    assert "  limit_time_s=600\n" in said[-1]
    assert "old secret  verifies until" in said[-1]


def test_code_is_what_the_sandboxs_dashboard_asks_for(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert "start `wongate sandbox`" in complaint(capsys, "code", "--data", "nowhere")
    secret = one_time.spelled(b"12345678901234567890")
    (tmp_path / "sandbox.json").write_text(json.dumps({"dashboard_login": {"totp_secret": secret}}))
    assert 0 == run("code", "--data", str(tmp_path))
    said = capsys.readouterr().out.strip()
    assert one_time.matching_step(secret, said, SystemClock().now()) is not None


def test_files_and_choices_that_do_not_exist_are_named_in_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WONGATE_SECRET", "secret")
    assert "wongate: nofile.json: No such file or directory\n" == complaint(capsys, "sign", "nofile.json")
    assert "Role." not in complaint(capsys, "user", "create", "anna@shop.example", "--role", "boss")


def test_sign_prints_what_is_signed_and_explains_a_difference(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    message = {"general": {"project_id": 1, "payment_id": "a"}, "payment": {"amount": 1000}}
    (tmp_path / "message").write_text(json.dumps(message))
    monkeypatch.setenv("WONGATE_SECRET", "secret")
    assert 0 == run("sign", "message")
    said = capsys.readouterr().out
    assert "general:payment_id:a;general:project_id:1;payment:amount:1000" in said
    assert 1 == run("sign", "message", "--signature", "A" * 86 + "==")
    assert len(capsys.readouterr().out) > len(said)
    assert 0 == run("sign", "message", "--signature", sign(message, "secret"))


def test_the_real_program_ends_with_2_and_one_line():
    """What the tests above run in this process, once as a shell runs it."""
    ran = subprocess.run(
        [sys.executable, "-m", "wongate", "sandbox", "--port", "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (2, "", 1) == (ran.returncode, ran.stdout, ran.stderr.count("\n"))
