"""`make bench-compare A=... B=...`: two results side by side, the medians of their rounds; the spread says how much of a
difference is noise. Each may be several files of one commit, joined by commas.

Ratios are figures that were measured against something else in the same run. Those of two runs on one machine have to agree;
everything else depends on what the machine had to do besides, so it stands there to be read.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from bench.results import read

Figures = Mapping[tuple[str, str], Sequence[float]]

AGREE = 0.15
"""How far B may be from A, as a share of A."""


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when all ratios agree, 1 when one does not, 2 for files that cannot be compared."""
    try:
        if len(arguments) != 2 or not all(arguments):
            raise ValueError("name two results")  # noqa: TRY301 - the same answer as for any other mistake
        one, other = (_read(argument.split(",")) for argument in arguments)
        text, agree = compared(one, other)
    except (ValueError, OSError) as error:
        print(f"make bench-compare A=FILE[,FILE...] B=FILE[,FILE...]: {error}", file=sys.stderr)
        return 2
    print(text)
    return 0 if agree else 1


def compared(one: Figures, other: Figures) -> tuple[str, bool]:
    """The table, and whether every ratio that both have agrees. Raises ValueError when they have no figure in common."""
    both = [key for key in one if key in other]
    if not both:
        raise ValueError("no figure is in both")
    ratios = [key for key in both if is_ratio(key[1])]
    apart = [key for key in ratios if not _agree(one[key], other[key])]
    lines = [f"{'':<44}{'A':>12}{'spread':>9}{'B':>12}{'spread':>9}{'B / A':>9}"]
    if ratios:
        lines.append(f"Ratios, measured in one run each: within {AGREE:.0%} or not")
        lines += [f"{_line(key, one[key], other[key])}   {'no' if key in apart else 'yes'}" for key in ratios]
        lines.append("Everything else: as fast as the machine was at the time")
    lines += [_line(key, one[key], other[key]) for key in both if key not in ratios]
    for missing, where in ((set(one) - set(other), "B"), (set(other) - set(one), "A")):
        if missing:
            lines.append(f"not in {where}: {', '.join(sorted(' '.join(key) for key in missing))}")
    lines.append(f"\n{len(ratios) - len(apart)} of {len(ratios)} ratios are within {AGREE:.0%}")
    return "\n".join(lines), not apart


def is_ratio(key: str) -> bool:
    return "ratio" in key.split("_")


def _agree(one: Sequence[float], other: Sequence[float]) -> bool:
    a, b = median(one), median(other)
    return abs(b - a) <= AGREE * abs(a)


def _read(paths: Sequence[str]) -> Figures:
    found: dict[tuple[str, str], list[float]] = {}
    for run in (run for path in paths for run in read(Path(path))):
        for name, figures in run.figures.items():
            for one in run.rounds.get(name, [figures]):
                for key, value in one.items():
                    found.setdefault((name, key), []).append(value)
    return found


def _line(key: tuple[str, str], one: Sequence[float], other: Sequence[float]) -> str:
    a, b = median(one), median(other)
    ratio = f"{b / a:>9.2f}" if a else f"{'-':>9}"
    return f"{' '.join(key):<44}{a:>12,.2f}{_spread(one):>9}{b:>12,.2f}{_spread(other):>9}{ratio}"


def _spread(values: Sequence[float]) -> str:
    """Half the range as a share of the median; nothing for a single value."""
    middle = median(values)
    return f"±{(max(values) - min(values)) / 2 / middle:.0%}" if len(values) > 1 and middle else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
