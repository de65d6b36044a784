"""Figures, the bars they are held against, and the table of both."""

from collections.abc import Mapping

from wongate.web.dashboard_tiles import TEMPLATES

BARS = {
    ("intake", "ratio"): (">=", 2.0),
    ("intake", "p99_ms"): ("<=", 50.0),
    ("intake", "server_memory_mb"): ("<=", 120.0),
    ("payments", "per_second"): (">=", 150.0),
    ("latency", "accept_p99_ms_at_100"): ("<=", 50.0),
    ("latency", "whole_p99_ms_at_200"): ("<=", 250.0),
    ("latency", "overhead_p50_ms"): ("<=", 5.0),
    ("latency", "overhead_p99_ms"): ("<=", 25.0),
    ("refunds", "per_second"): (">=", 300.0),
    ("callbacks", "per_second"): (">=", 5000.0),
    ("pages", "p95_ms"): ("<=", 30.0),
    ("pages", "round_trips"): ("<=", 2.0),
    ("isolation", "accept_p99_ratio"): ("<=", 1.2),
    ("isolation", "callback_p99_ratio"): ("<=", 1.2),
    ("size", "table_p95_ms"): ("<=", 100.0),
    ("size", "search_p95_ms"): ("<=", 100.0),
    ("size", "detail_p95_ms"): ("<=", 100.0),
    **{("size", f"tile_{template}_p95_ms"): ("<=", 300.0) for template in TEMPLATES},
    ("size", "csv_s"): ("<=", 20.0),
    ("size", "xlsx_s"): ("<=", 150.0),
    ("size", "csv_growth_mb"): ("<=", 64.0),
    ("size", "xlsx_growth_mb"): ("<=", 64.0),
    ("size", "accept_p99_ratio_csv"): ("<=", 1.5),
    ("size", "accept_p99_ratio_xlsx"): ("<=", 1.5),
}


def table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """One line for each figure: its value, its bar, and whether it is met."""
    return "\n".join(
        f"{f'{name} {key}':<34}{value:>12,.2f}   {_verdict(name, key, value)}".rstrip()
        for name, values in figures.items()
        for key, value in values.items()
    )


def _verdict(name: str, key: str, value: float) -> str:
    if (name, key) not in BARS:
        return ""
    sign, bar = BARS[name, key]
    met = value >= bar if sign == ">=" else value <= bar
    return f"{sign} {bar:g}  {'met' if met else 'NOT MET'}"
