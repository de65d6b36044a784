"""Runs as they are kept: what was measured, on what, and what could not be."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
SHOWN = FOLDER / "shown.json"
"""The one that the docs show: committed, where all others stay on their machine."""


ABOUT = ("date", "commit", "cores", "load_before", "python")
"""What every result says of itself at least."""


class NotMeasured(Exception):
    """Raised by a bench for which something outside is missing: the run goes on and says so."""


@dataclass(slots=True)
class Run:
    """`about` says when, of which commit and on what; the others are by the name of the bench: medians, and their rounds."""

    about: Mapping[str, Any]
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)
    rounds: dict[str, list[dict[str, float]]] = field(default_factory=dict)


def read(path: Path) -> list[Run]:
    """One run, or all that the docs show together. Raises OSError, or ValueError when it is no result."""
    try:
        kept = json.loads(path.read_text())
        runs = [Run(**one) for one in (kept if isinstance(kept, list) else [kept])]
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no result of make bench: {error}") from None
    if lacking := {key for run in runs for key in ABOUT if key not in run.about}:
        raise ValueError(f"{path} does not say its {' and '.join(sorted(lacking))}")
    return runs


def write(run: Run, folder: Path = FOLDER) -> Path:
    """Under its date and commit; a second one of the same commit does not replace the first."""
    folder.mkdir(exist_ok=True)
    name = f"{datetime.now(UTC):%Y-%m-%d}-{run.about['commit']}"
    free = (folder / f"{name}{suffix}.json" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
    path = next(path for path in free if not path.exists())
    path.write_text(spelled([run]))
    return path


def spelled(runs: list[Run]) -> str:
    kept = [asdict(run) for run in runs]
    return json.dumps(kept[0] if len(kept) == 1 else kept, indent=2) + "\n"
