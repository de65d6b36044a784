"""Runs a program that does not outlive the process that started it.

    python -I -S tether.py PARENT SIGNAL IDENTITY LIFELINE program [argument ...]

A program of its own, and not a `preexec_fn`, for three reasons. Code between fork and exec may deadlock
when the parent has threads. Linux forgets the death signal whenever a process changes its user, so it has
to be asked for last, in the very process that becomes the program. And only a process with a single thread
may enter a user namespace. It costs some 15 ms per start. It imports the standard library only and is run
by its path, so that neither site-packages nor the rest of Wongate is loaded.

PARENT    the process that must live; when it is already gone, nothing is started
SIGNAL    what the program gets when PARENT dies, in whatever way
IDENTITY  `self`; `namespace`, where root is user 1 (see `enter_namespace`); `UID:GID`; or `UID:GID:enter`, who
          keeps root's right to enter and use every directory
LIFELINE  `kernel` where the kernel delivers SIGNAL, else the read end of a pipe that only PARENT can write
"""

import ctypes
import os
import signal
import sys
import threading
from pathlib import Path

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CLONE_NEWUSER = 0x10000000  # <linux/sched.h>
CAP_DAC_OVERRIDE = 1  # <linux/capability.h>; Docker leaves it to root, unlike CAP_DAC_READ_SEARCH
CAPABILITY_VERSION_3 = 0x20080522
NOT_STARTED = 127  # what shells answer for a command that cannot be run


def main() -> None:
    parent, death_signal, identity, lifeline, *program = sys.argv[1:]
    try:
        take_identity(identity)
        if lifeline == "kernel":
            die_with(int(parent), int(death_signal))
            become(program)
        sys.exit(watch(int(lifeline), int(death_signal), program))
    except OSError as error:
        print(f"cannot run {program[0]}: {error}", file=sys.stderr)
        sys.exit(NOT_STARTED)


def take_identity(identity: str) -> None:
    if identity == "namespace":
        enter_namespace()
    elif identity != "self":
        uid, gid, *enter = identity.split(":")
        if enter:
            _call("prctl", PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
        if enter:
            keep_the_right_to_enter()


def enter_namespace() -> None:
    """Root's own files stay root's own, only the number that `getuid` answers changes, and only in here."""
    uid, gid = os.getuid(), os.getgid()
    _call("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"1 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"1 {gid} 1")


def keep_the_right_to_enter() -> None:
    """Of root's rights only this one is left, and the program inherits it (an ambient capability)."""
    bits = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    effective_permitted_inheritable = (ctypes.c_uint32 * 6)(bits, bits, bits, 0, 0, 0)
    _call("capset", header, effective_permitted_inheritable)
    _call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def die_with(parent: int, death_signal: int) -> None:
    _call("prctl", PR_SET_PDEATHSIG, death_signal)
    # The parent may have died before the line above: then nobody is left whose death could be reported.
    if os.getppid() != parent:
        sys.exit(NOT_STARTED)


def become(program: list[str]) -> None:
    """Undoes what was inherited or what Python set, so that the program can be stopped by every signal."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.execvp(program[0], program)  # noqa: S606 - the point of this program


def watch(lifeline: int, death_signal: int, program: list[str]) -> int:
    """Stays between PARENT and the program where the kernel has no death signal; answers the exit code."""
    passed_on = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    signal.pthread_sigmask(signal.SIG_SETMASK, passed_on)  # until there is a child to pass them on to
    child = os.fork()
    if child == 0:
        try:
            become(program)
        except OSError as error:
            print(f"cannot run {program[0]}: {error}", file=sys.stderr)
        os._exit(NOT_STARTED)

    def pass_on(number: int, _frame: object) -> None:
        os.kill(child, number)

    def wait_for_parent_to_die() -> None:
        os.read(lifeline, 1)  # nobody ever writes: this returns when the last writer is gone
        os.kill(child, death_signal)

    for number in passed_on:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    threading.Thread(target=wait_for_parent_to_die, daemon=True).start()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _call(name: str, *arguments: int | ctypes.Array[ctypes.c_uint32]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
