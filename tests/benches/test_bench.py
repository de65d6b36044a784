"""What `make bench` keeps of a run, and what `make bench-compare` says of two."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from bench import __main__ as bench
from bench import compare, localstripe
from bench.results import NotMeasured, Run, read, write
from bench.table import FIGURES, table

ABOUT = {"date": "2026-01-02", "commit": "abc1234", "cores": 2, "load_before": 0.1, "python": "3.11.7"}


def kept(path: Path, figures: Mapping[str, Mapping[str, float]]) -> str:
    path.write_text(json.dumps({"about": ABOUT, "figures": figures}))
    return str(path)


def test_ratios_of_two_runs_agree_or_do_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    first = kept(tmp_path / "a", {"intake": {"per_second": 1000, "ratio": 2.0, "ratio_prepared": 1.0}})
    second = kept(tmp_path / "b", {"intake": {"per_second": 1, "ratio": 2.29, "ratio_prepared": 1.16}})
    assert 1 == compare.main([first, second])
    said = capsys.readouterr().out
    lines = {line.split("  ")[0]: line.split() for line in said.splitlines()}
    assert ["2.00", "2.29", "1.15", "yes"] == lines["intake ratio"][2:]  # 14.5 % more
    assert ["1.00", "1.16", "1.16", "no"] == lines["intake ratio_prepared"][2:]
    assert ["1,000.00", "1.00", "0.00"] == lines["intake per_second"][2:]  # a rate is not judged
    assert "1 of 2 ratios are within 15%" in said


def test_runs_that_agree_end_well(tmp_path: Path):
    first = kept(tmp_path / "a", {"intake": {"ratio": 2.0}})
    second = kept(tmp_path / "b", {"intake": {"ratio": 1.71}})
    assert 0 == compare.main([first, second])
    assert 1 == compare.main([first, kept(tmp_path / "c", {"intake": {"ratio": 1.69}})])


def test_several_files_are_compared_by_their_medians_with_their_spread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    names = [kept(tmp_path / str(ratio), {"intake": {"ratio": ratio}}) for ratio in (1.0, 2.0, 9.0)]
    assert 0 == compare.main([",".join(names), kept(tmp_path / "b", {"intake": {"ratio": 2.0}})])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("intake ratio"))
    assert ["2.00", "±200%", "2.00", "1.00", "yes"] == line.split()[2:]


def test_what_only_one_run_has_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    first = kept(tmp_path / "a", {"intake": {"ratio": 2.0}, "pages": {"p95_ms": 3.0}})
    assert 0 == compare.main([first, kept(tmp_path / "b", {"intake": {"ratio": 2.0}})])
    assert "not in B: pages p95_ms" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text", ["no JSON", "[1]", '{"figures": {}}', '{"about": {}, "figures": {}}'], ids=range(4)
)
def test_what_is_no_result_is_refused_in_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "a").write_text(text)
    assert 2 == compare.main([str(tmp_path / "a"), str(tmp_path / "a")])
    assert 1 == len(capsys.readouterr().err.splitlines())


def test_a_second_run_of_a_commit_does_not_replace_the_first(tmp_path: Path):
    runs = [Run(ABOUT, {"intake": {"ratio": ratio}}) for ratio in (1.0, 2.0, 3.0)]
    paths = [write(run, tmp_path / "results") for run in runs]
    assert 3 == len(set(paths))
    assert runs == [read(path)[0] for path in paths]


def test_rounds_become_medians_and_stay_for_their_spread(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = Run(ABOUT)
    rates = iter((3.0, 1.0, 2.5))
    for _ in range(3):
        bench.measure(run, "pages", lambda: {"ratio": next(rates)})
    bench.conclude(run)
    assert {"pages": {"ratio": 2.5}} == run.figures
    path = str(write(run, tmp_path))
    assert 0 == compare.main([path, path])
    assert "±40%" in capsys.readouterr().out


def test_a_bench_that_lost_or_lacks_something_has_no_figure_and_says_why():
    def lost() -> dict[str, float]:
        raise AssertionError("a sale was lost")

    def lacking() -> dict[str, float]:
        raise NotMeasured("there is no network")

    run = Run({})
    for measured in (lambda: {"ratio": 1.0}, lost, lambda: {"ratio": 1.0}):
        bench.measure(run, "lost", measured)
    bench.measure(run, "lacking", lacking)
    bench.measure(run, "fine", lambda: {"ratio": 1.0})
    bench.conclude(run)
    assert {"fine": {"ratio": 1.0}} == run.figures
    assert {"lost": "AssertionError: a sale was lost"} == run.broken
    assert {"lacking": "there is no network"} == run.not_measured


def test_the_table_judges_by_the_bar_on_either_side():
    text = table({"intake": {"ratio": 3.0, "p99_ms": 30.01}, "other": {"thing": 5.0}})
    assert ["3.00", ">=", "3", "met"] == text.splitlines()[0].split()[2:]
    assert ["30.01", "<=", "30", "ms", "NOT", "MET"] == text.splitlines()[1].split()[2:]
    assert ["5.00"] == text.splitlines()[2].split()[2:]


def test_every_bar_belongs_to_a_bench():
    assert set() == {name for name, _ in FIGURES} - {*bench.BENCHES, *bench.LONG}


def test_a_peer_that_cannot_be_installed_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # as without a network, and at once
    with pytest.raises(NotMeasured, match=r"localstripe 1\.15\.10 could not be installed"):
        localstripe.installed(tmp_path)
