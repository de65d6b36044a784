"""README, docs/performance.md and the picture show what was measured, and nothing else."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bench import chart
from bench.picture import BAD, COLOURS, Bar, Panel, svg
from bench.results import SHOWN, Run, read

ROOT = Path(__file__).parents[2]
ABOUT = {"date": "2026-01-02", "commit": "abc1234", "cores": 2, "load_before": 0.1, "python": "3.11.7"}


@pytest.mark.parametrize("path", [chart.README, chart.PAPER, chart.PICTURE], ids=lambda path: path.name)
def test_papers_show_the_committed_result(path: Path):
    expected = chart.drawn(read(SHOWN))[path]
    assert expected == path.read_text(), "run `make chart`"


def test_another_figure_changes_every_paper():
    papers = chart.drawn([Run(ABOUT, {"intake": {"ratio": 123.4, "p99_ms": 29.0, "per_second": 98765.0}})])
    assert "| Sales taken in, ratio to pgbench | 123 | >= 3 | met |" in papers[chart.README]
    assert "| Answer to a sale at that load, p99 | 29 ms | <= 30 ms | met |" in papers[chart.PAPER]
    assert "98,765" in papers[chart.PICTURE]


def test_a_bar_that_is_missed_is_said_to_be_missed():
    papers = chart.drawn([Run(ABOUT, {"intake": {"ratio": 2.99, "p99_ms": 30.0}})])
    for paper in (chart.README, chart.PAPER):
        assert "| Sales taken in, ratio to pgbench | 2.99 | >= 3 | **NOT MET** |" in papers[paper]
        assert "1 of 2 bars are met" in papers[paper]


def test_what_has_no_figure_is_said_with_its_reason():
    run = Run(
        ABOUT, {"pages": {"p95_ms": 4.0}}, {"intake": "a sale was lost"}, {"peers": "there is no network"}
    )
    paper = chart.drawn([run])[chart.PAPER]
    assert "* intake: no figure, a sale was lost\n" in paper
    assert "* peers: not measured, there is no network\n" in paper


def test_each_bench_is_shown_from_the_last_run_that_tried_it():
    older = Run(ABOUT, {"intake": {"ratio": 1.0}, "pages": {"p95_ms": 4.0}})
    newer = Run(ABOUT, {"intake": {"ratio": 2.0}}, {"refunds": "one was lost"})
    broken = Run(ABOUT, {}, {"pages": "a page was empty"})
    kept = chart.joined([older, newer, broken])
    assert [newer, broken] == kept
    assert [Run(ABOUT, {"pages": {"p95_ms": 4.0}}), newer] == chart.joined([older, newer])


def test_results_without_a_figure_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shown = SHOWN.read_bytes()
    nothing = tmp_path / "nothing.json"
    nothing.write_text(json.dumps({"about": ABOUT, "figures": {}, "broken": {"intake": "a sale was lost"}}))
    assert 2 == chart.main([str(nothing)])
    assert "no figure" in capsys.readouterr().err
    assert shown == SHOWN.read_bytes()


def test_the_picture_says_in_words_what_it_shows_and_fetches_nothing():
    text = chart.drawn(read(SHOWN))[chart.PICTURE]
    picture = ElementTree.fromstring(text)  # noqa: S314 - our own
    kinds = [child.tag.partition("}")[2] for child in picture]
    assert ["title", "desc"] == kinds[:2]
    assert "img" == picture.get("role")
    assert {picture[0].get("id"), picture[1].get("id")} == set(picture.get("aria-labelledby", "").split())
    numbers = [element.text or "" for element in picture.iter() if element.get("class") == "number"]
    described = picture[1].text or ""
    assert numbers
    assert all(number.split(" of ")[0] in described for number in numbers)
    assert not re.search(r"href|url\(|@import|<script|<image", text)
    assert ["http://www.w3.org/2000/svg"] == re.findall(r"https?://[^\"]+", text)


def test_bars_stay_inside_and_words_are_escaped():
    picture = svg("a < b", "c & d", [Panel("e > f", [Bar("<g>", 7.5, "h"), Bar("i", 0.0, "j")], 0.8)])
    shapes = ElementTree.fromstring(picture)  # noqa: S314 - our own
    widths = [float(shape.get("width", 0)) for shape in shapes if shape.get("class") == "main"]
    assert [332.0, 2.0] == widths
    assert {"e > f", "<g>", "h"} <= {shape.text for shape in shapes}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_is_readable_in_both_schemes(scheme: str):
    colours = COLOURS[scheme]
    for text in ("ink", "faint"):
        assert 4.5 <= contrast(colours[text], colours["paper"])
    for shape in (colours["main"], BAD[scheme]):
        assert 3 <= contrast(shape, colours["paper"])


def contrast(one: str, other: str) -> float:
    """As WCAG 2 reckons it."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
