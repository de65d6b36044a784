"""The program as a process: its command line, kill -9, a clean end, and an end with its parent."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.processes import HANG_GUARD_S, eventually, is_running, run_script
from tests.simulator.shopkeeper import KEY, MID, sha
from tests.world import free_port

from wongate_simulator.serving import listen

COMMAND = [sys.executable, "-m", "wongate_simulator"]


class Running:
    """A started simulator; ends at the end of the test in any case."""

    def __init__(self, data: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        merchants = data / "merchants.json"
        merchants.parent.mkdir(parents=True, exist_ok=True)
        merchants.write_text(json.dumps([{"mid": MID, "key": KEY}]))
        self.process = subprocess.Popen(
            [
                *COMMAND,
                "--port",
                str(self.port),
                "--data",
                str(data),
                "--merchants",
                str(merchants),
                *options,
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.first_line = self.process.stderr.readline() if self.process.stderr else ""

    def call(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.url + path, data, timeout=HANG_GUARD_S) as answer:  # noqa: S310
            return json.load(answer)

    def pay(self, moid: str, edi_date: str) -> dict[str, Any]:
        body = {
            "MID": MID,
            "EdiDate": edi_date,
            "Moid": moid,
            "Amt": "1000",
            "GoodsName": "x",
            "PayMethod": "CARD",
            "ReturnURL": self.url,
            "SignData": sha(edi_date, MID, "1000", KEY),
        }
        played: dict[str, Any] = self.call(
            "/control/pay", {"redirect_data": {"body": body}, "deliver": False}
        )
        return played

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()


@pytest.fixture
def started() -> Iterator[list[Running]]:
    running: list[Running] = []
    yield running
    for one in running:
        one.end()


def _edi_date(running: Running) -> str:
    return re.sub(r"\D", "", running.call("/control/clock")["now"].partition("+")[0])


def test_kill_9_loses_nothing_that_was_answered(started: list[Running], tmp_path: Path) -> None:
    started.append(first := Running(tmp_path))
    date = _edi_date(first)
    paid = [first.pay(f"m{number}", date)["result"]["TxTid"] for number in range(30)]
    first.process.kill()
    first.process.wait()
    started.append(second := Running(tmp_path))

    assert paid == [entry["tid"] for entry in second.call("/control/books")["books"]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number: int, started: list[Running], tmp_path: Path) -> None:
    started.append(running := Running(tmp_path))
    running.process.send_signal(number)

    assert 0 == running.process.wait(timeout=HANG_GUARD_S)
    assert "listening on" in json.loads(running.first_line)["message"]
    assert running.process.stderr is not None
    assert "" == running.process.stderr.read()
    assert not (tmp_path / "simulator.sqlite-wal").exists()


def test_a_shared_clock_file_is_followed(started: list[Running], tmp_path: Path) -> None:
    started.append(one := Running(tmp_path / "a", "--clock-file", str(tmp_path / "clock")))
    started.append(other := Running(tmp_path / "b", "--clock-file", str(tmp_path / "clock")))
    one.call("/control/clock", {"advance_s": 86_400})

    assert 86_400 == other.call("/control/clock")["offset_s"]


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    parent = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "wongate_simulator", "--port", sys.argv[1], "--data", sys.argv[2],
                          "--die-with-parent"], stderr=subprocess.PIPE, text=True)
child.stderr.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
    with run_script(parent, free_port(), tmp_path) as process:
        child = int(process.stdout.readline())
        running = is_running(child)
        process.kill()

    assert running
    eventually(lambda: not is_running(child))


def test_it_does_not_start_under_a_parent_that_is_gone(tmp_path: Path) -> None:
    options = [
        "--port",
        str(free_port()),
        "--data",
        str(tmp_path),
        "--die-with-parent",
        str(os.getpid() + 1),
    ]
    answer = subprocess.run(
        [*COMMAND, *options], capture_output=True, text=True, timeout=HANG_GUARD_S, check=False
    )

    assert answer.returncode != 0
    assert "parent process has already ended" in answer.stderr


@pytest.mark.parametrize(
    "options, complaint",
    [
        (["--host", "0.0.0.0"], "--unsafe-expose"),  # noqa: S104
        (["--port", "0"], "from 1 to 65535"),
        (["--port", "many"], "invalid"),
        (["--merchants", "missing.json"], "missing.json"),
        (["--merchants", "broken.json"], "is not JSON"),
        (["--merchants", "object.json"], "JSON list of objects"),
        (["--merchants", "wrong.json"], "unknown setting 'colour'"),
        (["--shop-port", "1"], "cannot listen" if os.getuid() else "WONGATE_SHOP_SECRET"),
        (["--nonsense"], "unrecognized arguments"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_clear_line(
    options: list[str], complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "object.json").write_text("{}")
    (tmp_path / "wrong.json").write_text('[{"mid": "a", "colour": "red"}]')
    environment = {name: value for name, value in os.environ.items() if name != "WONGATE_SHOP_SECRET"}
    command = [*COMMAND, "--port", str(free_port()), *options]
    answer = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=HANG_GUARD_S,
        cwd=tmp_path,
        env=environment,
        check=False,
    )

    assert 2 == answer.returncode
    assert complaint in answer.stderr.splitlines()[-1]
    assert "Traceback" not in answer.stderr


def test_a_taken_port_leaves_the_books_alone(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as listener:
        options = ["--port", str(listener.getsockname()[1]), "--data", str(tmp_path / "data")]
        answer = subprocess.run(
            [*COMMAND, *options], capture_output=True, text=True, timeout=HANG_GUARD_S, check=False
        )

    assert (2, 1) == (answer.returncode, len(answer.stderr.splitlines()))
    assert "cannot listen on http://127.0.0.1" in answer.stderr
    assert not (tmp_path / "data").exists()


def test_help_shows_examples() -> None:
    answer = subprocess.run(
        [*COMMAND, "--help"], capture_output=True, text=True, timeout=HANG_GUARD_S, check=True
    )

    assert "examples:" in answer.stdout
    assert "--clock-file" in answer.stdout
