"""The supervisor of the sandbox, with real processes: restarts, order of stopping, nothing left behind."""

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from tests.connections.owner import FIRST_ROW, make_first_row, query
from tests.processes import HANG_GUARD_S, eventually, is_running, run_script

from wongate.connections.children import Child, NoAnswer, Supervisor, wait_until_answers

# Writes its number and its end into the journal: "web 4711", "web is asked", "web ends".
DILIGENT = """
import os, signal, sys, time
name, journal = sys.argv[1:]
def note(what):
    with open(journal, "a") as file:
        file.write(f"{name} {what}\\n")
def end(number, frame):
    note("is asked")
    time.sleep(0.1)
    note("ends")
    sys.exit()
signal.signal(signal.SIGTERM, end)
note(os.getpid())
time.sleep(600)
"""

# Starts one child per name, the later only when the earlier has begun, and says what its supervisor says.
SUPERVISOR = """
import sys, time
from pathlib import Path
from wongate.connections.children import Child, Supervisor
program, journal, stop_timeout_s, *names = sys.argv[1:]
journal = Path(journal)
journal.touch()
with Supervisor(lambda line: print(line, flush=True), stop_timeout_s=float(stop_timeout_s)) as supervisor:
    for name in names:
        argv = [sys.executable, "-c", program, name, str(journal)]
        supervisor.start(Child(name, argv, {}, journal.with_name(f"{name}.log")))
        while f"{name} " not in journal.read_text():
            time.sleep(0.01)
    print("running", flush=True)
    supervisor.run()
print("stopped", flush=True)
"""


@contextmanager
def supervisor_of(
    program: str,
    journal: Path,
    *names: str,
    on_hangup: signal.Handlers = signal.SIG_DFL,
    stop_timeout_s: float = HANG_GUARD_S,
) -> Iterator[subprocess.Popen[str]]:
    """A supervisor in a session of its own. What becomes of SIGHUP is said: tests that run under `nohup` would pass that on."""
    before = signal.signal(signal.SIGHUP, on_hangup)
    try:
        running = run_script(SUPERVISOR, program, journal, stop_timeout_s, *names, start_new_session=True)
        with running as supervisor:
            signal.signal(signal.SIGHUP, before)
            yield supervisor
    finally:
        signal.signal(signal.SIGHUP, before)


def lines_of(supervisor: subprocess.Popen[str]) -> Iterator[str]:
    assert supervisor.stdout is not None
    return (line.rstrip() for line in supervisor.stdout)


def numbers_in(journal: Path) -> list[int]:
    return [int(what) for what in journal.read_text().split() if what.isdigit()]


# Stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_all_in_reverse_order_each_after_its_work(tmp_path, number):
    journal = tmp_path / "journal"
    with supervisor_of(DILIGENT, journal, "database", "platform", "worker") as supervisor:
        assert "running" == next(lines_of(supervisor))
        # As a terminal does it on Ctrl-C: the whole group is told.
        os.killpg(supervisor.pid, number)

        assert ["stopped"] == list(lines_of(supervisor))
        assert 0 == supervisor.wait(HANG_GUARD_S)

    assert journal.read_text().splitlines()[3:] == [
        f"{name} {what}" for name in ("worker", "platform", "database") for what in ("is asked", "ends")
    ]
    assert not any(is_running(pid) for pid in numbers_in(journal))


def test_under_nohup_the_end_of_the_terminal_stops_nothing(tmp_path):
    journal = tmp_path / "journal"
    with supervisor_of(DILIGENT, journal, "web", on_hangup=signal.SIG_IGN) as supervisor:
        said = lines_of(supervisor)
        assert "running" == next(said)
        supervisor.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert is_running(numbers_in(journal)[0])
        supervisor.terminate()
        assert "stopped" == next(said)


def test_what_nobody_wants_any_more_is_stopped(tmp_path):
    journal = tmp_path / "journal"
    journal.touch()
    wanted = iter([True, True, False])
    with Supervisor(print, stop_timeout_s=HANG_GUARD_S) as supervisor:
        supervisor.start(
            Child("web", [sys.executable, "-c", DILIGENT, "web", str(journal)], {}, tmp_path / "log")
        )
        eventually(lambda: numbers_in(journal))
        supervisor.run(lambda: next(wanted))
    assert "web ends" in journal.read_text()


def test_a_second_ctrl_c_does_not_break_off_the_stopping(tmp_path):
    journal = tmp_path / "journal"
    slow = DILIGENT.replace(
        "time.sleep(0.1)", "time.sleep(0.4)"
    )  # Popen.wait goes on for 0.25 s after a Ctrl-C
    with supervisor_of(slow, journal, "database", "platform") as supervisor:
        assert "running" == next(lines_of(supervisor))
        supervisor.send_signal(signal.SIGINT)
        eventually(lambda: "database is asked" in journal.read_text())
        supervisor.send_signal(signal.SIGINT)

        assert ["stopped"] == list(lines_of(supervisor))

    assert "database ends" == journal.read_text().splitlines()[-1]


def test_a_stop_signal_during_the_start_stops_what_runs_already(tmp_path):
    begins_silently = DILIGENT.replace("note(os.getpid())", "print(os.getpid(), flush=True)")
    with supervisor_of(begins_silently, tmp_path / "journal", "silent") as supervisor:
        log = tmp_path / "silent.log"
        number = int(eventually(lambda: log.exists() and log.read_text()))
        supervisor.terminate()

        assert ["stopped"] == list(lines_of(supervisor))
        assert 0 == supervisor.wait(HANG_GUARD_S)
    assert not is_running(number)


def test_who_does_not_end_when_asked_is_killed(tmp_path):
    journal = tmp_path / "journal"
    stubborn = DILIGENT.replace(
        "signal.signal(signal.SIGTERM, end)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    )
    with supervisor_of(stubborn, journal, "stubborn", stop_timeout_s=0.5) as supervisor:
        assert "running" == next(lines_of(supervisor))
        supervisor.terminate()

        assert ["stopped"] == list(lines_of(supervisor))

    assert not is_running(numbers_in(journal)[0])


def test_a_kill_of_the_supervisor_leaves_nothing_running(tmp_path):
    journal = tmp_path / "journal"
    with supervisor_of(DILIGENT, journal, "database", "platform") as supervisor:
        assert "running" == next(lines_of(supervisor))
        supervisor.kill()

        eventually(lambda: not any(is_running(pid) for pid in numbers_in(journal)))

    assert 2 == len(numbers_in(journal))


def test_an_exception_in_the_block_leaves_nothing_running(tmp_path):
    journal = tmp_path / "journal"
    argv = [sys.executable, "-c", DILIGENT, "platform", str(journal)]

    def fail() -> None:
        with Supervisor(print) as supervisor:
            supervisor.start(Child("platform", argv, {}, tmp_path / "log"))
            eventually(lambda: journal.exists() and numbers_in(journal))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not is_running(numbers_in(journal)[0])


# Restarting


def test_who_ends_is_started_again_after_a_growing_delay(tmp_path):
    failing = "import sys; print('failing begins', file=open(sys.argv[2], 'a')); sys.exit(7)"
    with supervisor_of(failing, tmp_path / "journal", "failing") as supervisor:
        lines = lines_of(supervisor)
        assert "running" == next(lines)

        said = [next(lines) for _ in range(4)]

    delays = ["0.2", "0.4", "0.8", "1.6"]
    assert [f"failing ended with exit code 7; starting it again in {delay} s" for delay in delays] == said
    assert 4 == (tmp_path / "journal").read_text().count("failing begins")


def test_who_is_killed_is_replaced_and_the_others_stay(tmp_path):
    journal = tmp_path / "journal"
    with supervisor_of(DILIGENT, journal, "platform", "worker") as supervisor:
        lines = lines_of(supervisor)
        assert "running" == next(lines)
        platform, worker = numbers_in(journal)
        os.kill(platform, signal.SIGKILL)

        assert "platform was ended by SIGKILL; starting it again in 0.2 s" == next(lines)
        eventually(lambda: 3 == len(numbers_in(journal)))
        assert is_running(worker)
        assert "platform" == journal.read_text().splitlines()[-1].split()[0]


def test_the_database_is_kept_alive_too(tmp_path):
    script = """
import sys
from pathlib import Path
from wongate.connections import embedded
from wongate.connections.children import Supervisor
with Supervisor(lambda line: print(line, flush=True), stop_timeout_s=120) as supervisor:
    server = embedded.start(Path(sys.argv[1]), settings={"fsync": "off"})
    supervisor.keep(server)
    print(server.pid, server.url, flush=True)
    supervisor.run()
"""
    make_first_row(tmp_path / "db")
    with run_script(script, tmp_path / "db") as supervisor:
        lines = lines_of(supervisor)
        pid, url = next(lines).split()
        os.kill(int(pid), signal.SIGKILL)

        assert "database was ended by SIGKILL; starting it again in 0.2 s" == next(lines)
        assert "committed" == eventually(lambda: answer_or_none(url))
        supervisor.terminate()
        assert 0 == supervisor.wait(HANG_GUARD_S)

    assert "database system is shut down" in (tmp_path / "db" / "server.log").read_text().splitlines()[-1]


def answer_or_none(url: str) -> object:
    try:
        return query(url, FIRST_ROW)
    except (OSError, asyncpg.PostgresError):
        return None


# Starting


@contextmanager
def health_endpoint(*statuses: int) -> Iterator[str]:
    """Answers with the given statuses one after another, then always with the last."""
    left = list(statuses)

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/health"
        server.shutdown()
        thread.join()


def test_waiting_ends_with_the_first_answer_that_is_well(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # loopback is never asked for through a proxy
    with health_endpoint(503, 503, 200) as url:
        wait_until_answers(url, HANG_GUARD_S)


def test_waiting_in_vain_says_for_what():
    with health_endpoint(503) as url, pytest.raises(NoAnswer, match=rf"{url} did not answer within 0\.2 s: "):
        wait_until_answers(url, timeout_s=0.2)


def test_waiting_in_vain_says_what_came_instead():
    looks = iter([True, True, False])
    with health_endpoint(503) as url, pytest.raises(NoAnswer, match=rf"{url} did not answer .*503"):
        wait_until_answers(url, HANG_GUARD_S, lambda: next(looks))


def test_a_child_that_ends_instead_of_answering_is_quoted_at_once(tmp_path):
    program = "import sys; sys.exit('port 8080 is in use')"
    child = Child("platform", [sys.executable, "-c", program], {}, tmp_path / "platform.log")
    begun = time.monotonic()

    with Supervisor(print) as supervisor, pytest.raises(NoAnswer) as failure:
        supervisor.start(child, answers_at="http://127.0.0.1:1/health", timeout_s=600)

    assert (
        f"platform ended with exit code 1; the end of {tmp_path}/platform.log:\n    port 8080 is in use"
        == str(failure.value)
    )
    assert time.monotonic() - begun < 300  # it did not wait for the time limit


def test_a_child_sees_its_own_variables_on_top_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("OURS", "ours")
    program = (
        "import os; print(os.environ['OURS'], os.environ['ITS'], flush=True); import time; time.sleep(600)"
    )
    with Supervisor(print) as supervisor:
        supervisor.start(Child("platform", [sys.executable, "-c", program], {"ITS": "its"}, tmp_path / "log"))

        eventually(lambda: (tmp_path / "log").read_text() == "ours its\n")
