"""What every figure is called, the bars some are held against, and the table of a run."""

from collections.abc import Mapping
from dataclasses import dataclass

from wongate.web.dashboard_tiles import TEMPLATES

Figures = Mapping[str, Mapping[str, float]]
"""Of each bench, by name."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What a reader calls it and what follows its number; with a bar where it must reach one."""

    words: str
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def bar(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:,g} {self.unit}".rstrip()
        return f"<= {self.at_most:,g} {self.unit}".rstrip() if self.at_most is not None else ""

    def met(self, value: float) -> bool:
        """True for a figure without a bar too."""
        at_least = self.at_least is None or value >= self.at_least
        return at_least and (self.at_most is None or value <= self.at_most)

    def with_unit(self, value: float) -> str:
        return f"{spelled(value)} {self.unit}".rstrip()


def _tiles(bench: str) -> dict[tuple[str, str], Figure]:
    return {
        (bench, f"tile_{template}_p95_ms"): Figure(f"Tile of a year, {template}, p95", "ms", at_most=300)
        for template in TEMPLATES
    }


FIGURES: Mapping[tuple[str, str], Figure] = {
    ("intake", "per_second"): Figure("Sales taken in through Gate, durable before the answer", "/s"),
    ("intake", "pgbench_simple"): Figure("pgbench, the same rows, a transaction each", "/s"),
    ("intake", "pgbench_prepared"): Figure("pgbench with prepared statements", "/s"),
    ("intake", "ratio"): Figure("Sales taken in, ratio to pgbench", at_least=3),
    ("intake", "ratio_prepared"): Figure("Sales taken in, ratio to pgbench prepared"),
    ("intake", "p50_ms"): Figure("Answer to a sale at that load, p50", "ms"),
    ("intake", "p99_ms"): Figure("Answer to a sale at that load, p99", "ms", at_most=30),
    ("intake", "serve_cpu_us"): Figure("Processor time of a sale in the servers", "us"),
    ("intake", "postgres_cpu_us"): Figure("Processor time of a sale in PostgreSQL", "us"),
    ("intake", "server_memory_mb"): Figure("Memory of a server process", "MB", at_most=120),
    ("payments", "per_second"): Figure("Whole payments, until the final callback", "/s", at_least=400),
    ("payments", "ratio_pgbench"): Figure("Whole payments, ratio to pgbench"),
    ("payments", "p50_ms"): Figure("A whole payment at that load, p50", "ms"),
    ("payments", "p99_ms"): Figure("A whole payment at that load, p99", "ms"),
    ("payments", "worker_memory_mb"): Figure("Memory of a worker process", "MB"),
    ("latency", "accept_p50_ms_at_100"): Figure("Answer to a sale at 100 payments/s, p50", "ms"),
    ("latency", "accept_p99_ms_at_100"): Figure("Answer to a sale at 100 payments/s, p99", "ms", at_most=50),
    ("latency", "overhead_p50_ms"): Figure("Added to the provider's own time, p50", "ms", at_most=5),
    ("latency", "overhead_p99_ms"): Figure("Added to the provider's own time, p99", "ms", at_most=25),
    ("latency", "whole_p99_ms_at_100"): Figure("Sale to final callback at 100 payments/s, p99", "ms"),
    ("latency", "whole_p99_ms_at_200"): Figure(
        "Sale to final callback at 200 payments/s, p99", "ms", at_most=250
    ),
    ("refunds", "per_second"): Figure("Refunds, until the final callback", "/s", at_least=300),
    ("refunds", "ratio_pgbench"): Figure("Refunds, ratio to pgbench"),
    ("callbacks", "per_second"): Figure("Callbacks delivered by one worker", "/s", at_least=5000),
    ("callbacks", "ratio_pgbench"): Figure("Callbacks, ratio to pgbench"),
    ("pages", "p95_ms"): Figure("Opening the Payment Page at 100/s, p95", "ms", at_most=30),
    ("pages", "round_trips"): Figure("Round trips to the database of one opening", at_most=2),
    ("isolation", "accept_p99_ratio"): Figure(
        "Answer to a sale beside a neighbour at ten times its load, p99, ratio to alone", at_most=1.2
    ),
    ("isolation", "callback_p99_ratio"): Figure(
        "Delay of a callback beside that neighbour, p99, ratio to alone", at_most=1.2
    ),
    ("peers", "wongate_payments_per_second"): Figure("Whole payments beside a peer, Wongate", "/s"),
    ("peers", "localstripe_payments_per_second"): Figure("Whole payments, localstripe", "/s"),
    ("peers", "payments_ratio"): Figure(
        "Whole payments, ratio to localstripe, which makes nothing durable and calls nobody"
    ),
    ("peers", "wongate_sales_per_second"): Figure("Sales taken in beside a peer, Wongate", "/s"),
    ("peers", "localstripe_sales_per_second"): Figure("Payment intents made, localstripe", "/s"),
    ("peers", "sales_ratio"): Figure("Sales taken in, ratio to localstripe"),
    ("peers", "wongate_start_s"): Figure("Cold start of the sandbox, Wongate", "s", at_most=3),
    ("peers", "localstripe_start_s"): Figure("Cold start, localstripe", "s"),
    ("peers", "wongate_memory_mb"): Figure(
        "Memory of the sandbox's processes in all, Wongate", "MB", at_most=250
    ),
    ("peers", "localstripe_memory_mb"): Figure("Memory, localstripe", "MB"),
    ("claims", "callback_claim_ms"): Figure("Claim of 16 callbacks, a million waiting", "ms"),
    ("claims", "callback_claim_ratio"): Figure(
        "Claim of callbacks out of a million, ratio to out of a thousand", at_most=1.5
    ),
    ("claims", "wake_claim_ms"): Figure("Claim of 16 sales to wake, a million waiting", "ms"),
    ("claims", "wake_claim_ratio"): Figure(
        "Claim of sales to wake out of a million, ratio to out of a thousand", at_most=1.5
    ),
    ("claims", "drained_ratio"): Figure("Claim after many deliveries, ratio to the first", at_most=1.5),
    ("endurance", "serve_growth_mb"): Figure(
        "Growth of a server process over a million sales", "MB", at_most=10
    ),
    ("endurance", "worker_growth_mb"): Figure("Growth of the worker over a million sales", "MB", at_most=10),
    ("size", "payments"): Figure("Payments in the books"),
    ("size", "table_p95_ms"): Figure("Dashboard's table over those books, p95", "ms", at_most=100),
    ("size", "totals_p95_ms"): Figure("Totals of a filter, p95", "ms"),
    ("size", "search_p95_ms"): Figure("Exact search, p95", "ms", at_most=100),
    ("size", "detail_p95_ms"): Figure("A payment's own page, p95", "ms", at_most=100),
    **_tiles("size"),
    ("size", "csv_s"): Figure("CSV of every row", "s", at_most=20),
    ("size", "xlsx_s"): Figure("XLSX of every row", "s", at_most=150),
    ("size", "csv_growth_mb"): Figure("Growth of the worker meanwhile, CSV", "MB", at_most=64),
    ("size", "xlsx_growth_mb"): Figure("Growth of the worker meanwhile, XLSX", "MB", at_most=64),
    ("size", "accept_p99_ms_alone"): Figure("Answer to a sale over those books, p99", "ms"),
    ("size", "accept_p99_ratio_csv"): Figure("The same during a CSV export, ratio", at_most=1.5),
    ("size", "accept_p99_ratio_xlsx"): Figure("The same during an XLSX export, ratio", at_most=1.5),
    ("ten_million", "payments"): Figure("Payments in the books, most of them copies"),
    ("ten_million", "table_p95_ms"): Figure("Dashboard's table over those books, p95", "ms", at_most=150),
    ("ten_million", "totals_p95_ms"): Figure("Totals of a filter, p95", "ms"),
    ("ten_million", "search_p95_ms"): Figure("Exact search, p95", "ms", at_most=150),
    ("ten_million", "detail_p95_ms"): Figure("A payment's own page, p95", "ms", at_most=150),
    **_tiles("ten_million"),
    ("ten_million", "intake_ratio_of_empty"): Figure(
        "Sales taken in over those books, ratio to empty ones", at_least=0.9
    ),
}
"""A bench's figures by its name and their keys. Those that are not here are printed under their keys alone."""


def spelled(value: float) -> str:
    """Three digits that count, thousands apart, no digit after the point that says nothing."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(figures: Figures) -> str:
    """One line for each figure: its value, its bar, and whether it is met."""
    return "\n".join(
        f"{f'{name} {key}':<42}{value:>12,.2f}   {_verdict(name, key, value)}".rstrip()
        for name, values in figures.items()
        for key, value in values.items()
    )


def verdict(figure: Figure, value: float) -> str:
    if not figure.bar:
        return ""
    return "met" if figure.met(value) else "NOT MET"


def _verdict(name: str, key: str, value: float) -> str:
    figure = FIGURES.get((name, key), Figure(key))
    return f"{figure.bar}  {verdict(figure, value)}".strip()
