"""How far a long filling is, on standard error: a bar on a terminal, a line for every tenth elsewhere."""

import sys
import time

WIDTH = 30


class ProgressBar:
    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._tenths = 0
        self._shown = False

    def show(self, done: int, total: int) -> None:
        left_s = (time.monotonic() - self._began) / done * (total - done)
        text = f"{self._title}: {done} of {total} days, {_spoken(left_s)} left"
        if sys.stderr.isatty():
            filled = WIDTH * done // total
            print(
                f"\r[{'#' * filled}{'.' * (WIDTH - filled)}] {text}   ", end="", file=sys.stderr, flush=True
            )
        elif done * 10 // total > self._tenths:
            self._tenths = done * 10 // total
            print(text, file=sys.stderr, flush=True)
        self._shown = True

    def end(self, result: str) -> None:
        """Nothing to say when there was nothing to do."""
        if self._shown:
            after = _spoken(time.monotonic() - self._began)
            start = "\n" if sys.stderr.isatty() else ""
            print(f"{start}{self._title}: {result} in {after}", file=sys.stderr, flush=True)


def _spoken(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
