"""The run of all measurements: one that fails takes nothing of the others along."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.__main__ import main, parse
from bench.suite.measurement import Failed, Measurement, Ratio, Samples
from bench.suite.registry import ALL


def measurement(name: str, run: Callable[[Samples], None]) -> Measurement:
    """One ratio, `NAME_vs_NAME`, of what `run` adds."""
    return Measurement(
        name=name,
        ratios=(Ratio(key=f"{name}_vs_ceiling", ours=name, ceiling=f"{name}_c", target=None),),
        units={name: "calls/s", f"{name}_c": "calls/s", f"{name}_unused": "calls/s"},
        run=lambda samples, _rounds, _quick, _tick: run(samples),
        steps=lambda rounds: rounds,
    )


def found(samples: Samples) -> None:
    samples.add("good", 3.0)
    samples.add("good_c", 6.0)


@pytest.mark.parametrize("error", [Failed("a wrong answer"), OSError("no servers")])
def test_one_that_fails_loses_nothing_of_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def breaks(_samples: Samples) -> None:
        raise error

    written = tmp_path / "found.json"
    code = main(
        ["--output", str(written)], [measurement("bad", breaks), measurement("good", found)]
    )
    assert code == 1
    assert f"bad: {error}" in capsys.readouterr().err.replace("OSError: ", "")
    ratios = json.loads(written.read_text())["ratios"]
    assert [*ratios] == ["good_vs_ceiling"]


def test_no_figure_is_of_two_measurements() -> None:
    """Their samples would be mixed."""
    names = [name for one in ALL for name in one.units]
    names += [ratio.ours for one in ALL for ratio in one.ratios if ratio.ours not in one.units]
    assert len(names) == len(set(names)), sorted({name for name in names if names.count(name) > 1})


@pytest.mark.parametrize(
    ("words", "rounds"), [([], 3), (["--long"], 5), (["--quick", "--rounds", "1"], 1)]
)
def test_so_many_rounds(words: list[str], rounds: int) -> None:
    assert parse(words, []).rounds == rounds


def test_a_long_run_says_itself_how_long_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--long", "--rounds", "4"], [])
    assert "--long says itself how much is done" in capsys.readouterr().err
