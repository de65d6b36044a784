"""Ending when the parent process ends, even by SIGKILL: a sandbox that is shot leaves nothing running."""

import ctypes
import os
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int | None) -> None:
    """Asks the kernel for SIGTERM at the parent's death; where it cannot, watches standard input for its end.

    `parent_pid` tells apart a parent that died before this call from one that is process 1 itself; None trusts that
    the present parent is the right one. Raises SystemExit when the parent is gone already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    else:
        threading.Thread(target=_watch_stdin, daemon=True).start()
    if parent_pid is not None and os.getppid() != parent_pid:
        raise SystemExit("the parent process has already ended")


def _watch_stdin() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
