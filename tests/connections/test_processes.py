"""What is promised of every program that we start, whichever way it is held."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from tests.processes import HANG_GUARD_S, eventually, is_running, run_script

from wongate.connections import processes

BOTH_WAYS = pytest.mark.parametrize("through_pipe", [False, True] if sys.platform == "linux" else [True])

# Prints its number, then writes down by which signal it ends.
VICTIM = """
import os, signal, sys, time
def end(number, frame):
    open(sys.argv[1], "w").write(signal.Signals(number).name)
    sys.exit(3)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, end)
print(os.getpid(), flush=True)
time.sleep(600)
"""

PARENT = """
import signal, sys, time
from wongate.connections.processes import spawn
victim, note, dies_by, through_pipe = sys.argv[1:]
spawn([sys.executable, "-c", victim, note], dies_by=signal.Signals[dies_by], through_pipe=through_pipe == "True")
time.sleep(600)
"""


@BOTH_WAYS
def test_a_program_gets_its_signal_when_the_parent_is_killed(tmp_path, through_pipe):
    note = tmp_path / "note"
    with run_script(PARENT, VICTIM, note, "SIGINT", through_pipe) as parent:
        victim = int(parent.stdout.readline())
        parent.kill()

        eventually(lambda: not is_running(victim))

    assert "SIGINT" == note.read_text()


@BOTH_WAYS
def test_a_program_that_is_held_by_kill_ends_without_a_word(tmp_path, through_pipe):
    note = tmp_path / "note"
    with run_script(PARENT, VICTIM, note, "SIGKILL", through_pipe) as parent:
        victim = int(parent.stdout.readline())
        parent.kill()

        eventually(lambda: not is_running(victim))

    assert not note.exists()


def test_nothing_is_started_for_a_parent_that_is_gone_already(tmp_path):
    note = tmp_path / "note"
    gone = subprocess.Popen(["true"])
    gone.wait()
    tether = [sys.executable, "-I", "-S", processes._TETHER, str(gone.pid), "9", "self", "kernel"]

    code = subprocess.run([*tether, "touch", note], check=False).returncode

    assert 127 == code
    assert not note.exists()


@BOTH_WAYS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_program_even_if_we_block_and_ignore_them(number, through_pipe):
    before = signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        argv = ["sh", "-c", "echo ready; exec sleep 600"]  # neither changes what it has inherited
        child = processes.spawn(argv, output=subprocess.PIPE, through_pipe=through_pipe)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        signal.signal(number, before)
    assert child.stdout is not None
    with child.stdout as said:
        said.readline()
    child.send_signal(number)

    assert child.wait(HANG_GUARD_S) in (-number, 128 + number)


@BOTH_WAYS
def test_ctrl_c_in_our_terminal_does_not_reach_the_program(through_pipe):
    child = processes.spawn(["sleep", "600"], through_pipe=through_pipe)

    session = os.getsid(child.pid)
    processes.end_session(child)

    assert os.getsid(0) != session


@BOTH_WAYS
def test_ending_a_session_ends_what_the_program_has_left_behind(through_pipe):
    child = processes.spawn(
        ["sh", "-c", "sleep 600 & echo $!"], output=subprocess.PIPE, through_pipe=through_pipe
    )
    assert child.stdout is not None
    with child.stdout as said:
        left_behind = int(said.readline())
    child.wait(HANG_GUARD_S)
    assert is_running(left_behind)

    processes.end_session(child)

    eventually(lambda: not is_running(left_behind))


@BOTH_WAYS
def test_a_program_that_does_not_exist_is_a_clear_line(tmp_path, through_pipe):
    log = processes.LogFile(tmp_path / "log")

    child = processes.spawn(["/does/not/exist"], output=log.file, through_pipe=through_pipe)
    child.wait(HANG_GUARD_S)
    log.close()

    assert "ended with exit code 127" == processes.describe_ending(child)
    assert ["cannot run /does/not/exist: [Errno 2] No such file or directory"] == log.last_lines()


def test_a_program_is_refused_to_a_thread_that_could_end_before_it():
    refusals: list[RuntimeError] = []

    def start() -> None:
        try:
            processes.spawn(["true"])
        except RuntimeError as error:
            refusals.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert "main thread" in str(refusals[0])


def test_a_log_shows_what_this_start_has_printed_and_nothing_older(tmp_path):
    path = tmp_path / "log"
    path.write_text("from before\n")
    log = processes.LogFile(path)
    log.file.write(b"".join(b"line %d\n" % number for number in range(20)))
    log.close()

    assert ["line 18", "line 19"] == log.last_lines(2)
    assert "line 0" == log.last_lines(100)[0]


def test_a_large_log_is_set_aside(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"x" * 10_000_001)

    log = processes.LogFile(path)
    log.close()

    assert 0 == path.stat().st_size
    assert 10_000_001 == (tmp_path / "log.1").stat().st_size
