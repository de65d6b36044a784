"""`make chart RESULTS="FILE ..."`: the picture and the tables that README and docs/performance.md show, from results of
`make bench`. The results are joined into bench/results/shown.json, which is committed with them; without RESULTS they are
drawn anew from there."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.picture import Bar, Panel, svg
from bench.results import SHOWN, Run, read, spelled
from bench.table import FIGURES, Figure, verdict
from bench.table import spelled as number

ROOT = Path(__file__).parents[1]
README, PAPER, PICTURE = ROOT / "README.md", ROOT / "docs/performance.md", ROOT / "docs/pictures/figures.svg"
BEGIN, END = "<!-- make chart writes from here -->\n", "<!-- to here -->\n"

Key = tuple[str, str]

ALTERNATIVE = (
    "Sales a second beside pgbench, whole payments a second beside localstripe, times against their limits"
)

_LONGEST = 1.25
"""Limits that fit into the panel's width: what is beyond that ends there, and its number says by how much."""

IN_README: Sequence[Key] = (
    ("intake", "per_second"),
    ("intake", "ratio"),
    ("intake", "p99_ms"),
    ("payments", "per_second"),
    ("peers", "payments_ratio"),
    ("latency", "accept_p99_ms_at_100"),
    ("latency", "overhead_p50_ms"),
    ("latency", "overhead_p99_ms"),
    ("latency", "whole_p99_ms_at_200"),
    ("refunds", "per_second"),
    ("callbacks", "per_second"),
    ("pages", "p95_ms"),
    ("isolation", "accept_p99_ratio"),
    ("size", "payments"),
    ("size", "table_p95_ms"),
    ("size", "detail_p95_ms"),
    ("size", "tile_customers_p95_ms"),
    ("ten_million", "payments"),
    ("ten_million", "table_p95_ms"),
    ("ten_million", "intake_ratio_of_empty"),
    ("claims", "callback_claim_ratio"),
)

SALES: Mapping[Key, str] = {
    ("intake", "per_second"): "Wongate, commits gathered",
    ("intake", "pgbench_prepared"): "pgbench, prepared statements",
    ("intake", "pgbench_simple"): "pgbench",
}
PAYMENTS: Mapping[Key, str] = {
    ("peers", "wongate_payments_per_second"): "Wongate",
    ("peers", "localstripe_payments_per_second"): "localstripe, nothing durable, no callback",
}
TIMES: Mapping[Key, str] = {
    ("latency", "accept_p99_ms_at_100"): "Answer to a sale, 100/s, p99",
    ("latency", "overhead_p99_ms"): "Added to the provider's time, p99",
    ("latency", "whole_p99_ms_at_200"): "Sale to final callback, 200/s, p99",
    ("pages", "p95_ms"): "Opening the Payment Page, p95",
    ("size", "table_p95_ms"): "Dashboard's table, p95",
    ("size", "detail_p95_ms"): "A payment's own page, p95",
    ("size", "tile_customers_p95_ms"): "A year's Top 10 customers, p95",
}


def main(arguments: Sequence[str]) -> int:
    try:
        if arguments:
            SHOWN.write_text(spelled(joined(run for name in arguments for run in read(Path(name)))))
        for path, text in drawn(read(SHOWN)).items():
            path.write_text(text)
    except (ValueError, OSError) as error:
        print(f'make chart RESULTS="FILE ...": {error}', file=sys.stderr)
        return 2
    print(
        f"drawn from {SHOWN.relative_to(ROOT)}: README.md, docs/performance.md, {PICTURE.relative_to(ROOT)}"
    )
    return 0


def joined(runs: Iterable[Run]) -> list[Run]:
    """Each bench from the last run that tried it; runs of which nothing is left are dropped. Raises ValueError for no figure."""
    kept: list[Run] = []
    told: set[str] = set()
    for run in reversed(list(runs)):
        newer = set(told)
        told |= {*run.figures, *run.broken, *run.not_measured}
        if told != newer:
            kept.insert(0, _without_those(run, newer))
    if not any(run.figures for run in kept):
        raise ValueError("these results have no figure")
    return kept


def _without_those(run: Run, names: set[str]) -> Run:
    return Run(
        run.about,
        {name: found for name, found in run.figures.items() if name not in names},
        {name: reason for name, reason in run.broken.items() if name not in names},
        {name: reason for name, reason in run.not_measured.items() if name not in names},
        {name: rounds for name, rounds in run.rounds.items() if name not in names},
    )


def drawn(runs: Sequence[Run]) -> dict[Path, str]:
    """What each paper and the picture must be, by its path."""
    figures = {
        (name, key): value for run in runs for name, of in run.figures.items() for key, value in of.items()
    }
    description = _in_words(figures)
    picture = f"![{ALTERNATIVE}]({PICTURE.relative_to(ROOT)})"
    where = "[docs/performance.md](docs/performance.md) has every figure, how it is measured and where the time goes"
    short = [*_table(figures, IN_README), "", f"{_count(figures)}. {_measured(runs)} {where}."]
    whole = [f"{_count(figures)}.", "", *_table(figures, FIGURES), "", *_without(runs), *map(_about, runs)]
    return {
        PICTURE: svg("Wongate measured", description, _panels(figures)),
        README: _between(README, [picture, "", *short]),
        PAPER: _between(PAPER, whole),
    }


def _between(path: Path, lines: Sequence[str]) -> str:
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path.name} has no place for figures: {BEGIN.strip()} ... {END.strip()}")
    return before + BEGIN + "\n".join(lines) + "\n" + END + after


def _table(figures: Mapping[Key, float], keys: Iterable[Key]) -> list[str]:
    rows = [_row(FIGURES[key], figures[key]) for key in keys if key in figures]
    return ["| | measured | bar | |", "|---|---|---|---|", *rows]


def _row(figure: Figure, value: float) -> str:
    judged = verdict(figure, value)
    return f"| {figure.words} | {figure.with_unit(value)} | {figure.bar} | {f'**{judged}**' if judged == 'NOT MET' else judged} |"


def _count(figures: Mapping[Key, float]) -> str:
    bars = [(FIGURES[key], value) for key, value in figures.items() if key in FIGURES and FIGURES[key].bar]
    return f"{sum(figure.met(value) for figure, value in bars)} of {len(bars)} bars are met"


def _measured(runs: Sequence[Run]) -> str:
    """When, and beside what."""
    dates = sorted({run.about["date"] for run in runs})
    return f"Measured {' and '.join(dates)}{''.join(f' beside {name}' for name in _peers(runs))};"


def _peers(runs: Sequence[Run]) -> Sequence[str]:
    return next((run.about["peers"] for run in runs if "peers" in run.figures), ())


def _without(runs: Sequence[Run]) -> list[str]:
    lines = [f"* {name}: no figure, {reason}" for run in runs for name, reason in run.broken.items()]
    lines += [
        f"* {name}: not measured, {reason}" for run in runs for name, reason in run.not_measured.items()
    ]
    return lines


def _about(run: Run) -> str:
    about = run.about
    quick = ", a quick look" if about.get("quick") else ""
    versions = [f"Python {about['python']}", about.get("postgresql", "")]
    versions += about.get("peers", ()) if "peers" in run.figures else ()
    return (
        f"* {', '.join(run.figures)}: {about['date']}, commit {about['commit']}, {about['cores']} cores, load before the run "
        f"{about['load_before']:.1f}, {', '.join(filter(None, versions))}{quick}"
    )


def _in_words(figures: Mapping[Key, float]) -> str:
    known = [(FIGURES[key], figures[key]) for key in (*SALES, *PAYMENTS, *TIMES) if key in figures]
    return "; ".join(f"{figure.words}: {figure.with_unit(value)}" for figure, value in known)


def _panels(figures: Mapping[Key, float]) -> list[Panel]:
    panels = [
        _rates("Sales made durable, per second", SALES, figures),
        _rates("Whole payments, per second", PAYMENTS, figures),
        _times(figures),
    ]
    return [panel for panel in panels if panel.bars]


def _rates(title: str, words: Mapping[Key, str], figures: Mapping[Key, float]) -> Panel:
    known = {key: figures[key] for key in words if key in figures}
    most = max(known.values(), default=1.0)
    kinds = {key: "other" if place else "main" for place, key in enumerate(words)}
    bars = [Bar(words[key], value / most, number(value), kinds[key]) for key, value in known.items()]
    return Panel(title, bars)


def _times(figures: Mapping[Key, float]) -> Panel:
    """As shares of what each may take; the line stands at all of it."""
    bars = []
    for key, words in TIMES.items():
        figure, limit = FIGURES[key], FIGURES[key].at_most
        if key in figures and limit:
            value = figures[key]
            label = f"{number(value)} of {figure.with_unit(limit)}"
            bars.append(Bar(words, value / limit / _LONGEST, label, "main" if figure.met(value) else "bad"))
    return Panel("Times against their limit, the dashed line; shorter is better", bars, 1 / _LONGEST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
