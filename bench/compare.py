"""`make bench-compare A=... B=...`: two results side by side. Each may be several files of one commit, joined by commas: then
their medians are compared, and the spread says how much of a difference is noise."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

Figures = Mapping[tuple[str, str], Sequence[float]]


def main(arguments: Sequence[str]) -> int:
    try:
        one, other = (_read(argument.split(",")) for argument in arguments)
    except (ValueError, OSError, KeyError) as error:
        print(f"make bench-compare A=FILE[,FILE...] B=FILE[,FILE...]: {error}", file=sys.stderr)
        return 2
    print(f"{'':<34}{'A':>12}{'spread':>9}{'B':>12}{'spread':>9}{'B / A':>9}")
    for name, key in one:
        if (name, key) in other:
            print(_line(f"{name} {key}", one[name, key], other[name, key]))
    return 0


def _read(paths: Sequence[str]) -> Figures:
    found: dict[tuple[str, str], list[float]] = {}
    for path in paths:
        for name, values in json.loads(Path(path).read_text())["figures"].items():
            for key, value in values.items():
                found.setdefault((name, key), []).append(value)
    return found


def _line(label: str, one: Sequence[float], other: Sequence[float]) -> str:
    a, b = median(one), median(other)
    ratio = f"{b / a:>9.2f}" if a else f"{'-':>9}"
    return f"{label:<34}{a:>12,.2f}{_spread(one):>9}{b:>12,.2f}{_spread(other):>9}{ratio}"


def _spread(values: Sequence[float]) -> str:
    """Half the range as a share of the median; nothing for a single value."""
    middle = median(values)
    return f"±{(max(values) - min(values)) / 2 / middle:.0%}" if len(values) > 1 and middle else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
