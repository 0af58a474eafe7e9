"""Pairs of runs, and the ratio that is made of them."""

from __future__ import annotations

import io
import os
from itertools import count

import pytest
from rich.console import Console

from bench.load.results import LoadResult
from bench.report import document, ratios_table
from bench.suite.measurement import Measurement, Ratio, Samples, Target
from bench.suite.pairs import Side, ask_in_pairs, cpu_s, units_of
from bench.suite.registry import keys, that_give

RATIO = Ratio(key="k", ours="ours_per_s", ceiling="theirs_per_s", target=0.85, paired=True)


def result(per_s: float, p99_ms: float = 1.0) -> LoadResult:
    return LoadResult(
        per_s=per_s, good=100, errors={}, p50_ms=1.0, p99_ms=p99_ms, busiest=0.0, kept=()
    )


def sides(speed_at) -> tuple[Side, Side, list[str]]:
    """ours has 80 % of the speed of theirs; speed_at(n): that of the machine in run n."""
    order: list[str] = []
    numbers = count()

    def run(name: str, share: float) -> LoadResult:
        order.append(name)
        return result(share * speed_at(next(numbers)))

    made = [
        Side(name=name, pid=os.getpid(), run=lambda name=name, share=share: run(name, share))
        for name, share in (("ours", 0.8), ("theirs", 1.0))
    ]
    return made[0], made[1], order


def test_each_is_first_as_often_as_the_other():
    ours, theirs, order = sides(lambda _: 1_000.0)
    ask_in_pairs(Samples(), ours, theirs, pairs=2)
    o, t = "ours", "theirs"
    assert order == [o, t, t, o, t, o, o, t]


@pytest.mark.parametrize(
    "speed_at",
    [
        pytest.param(lambda n: 1_000.0, id="a quiet machine"),
        pytest.param(lambda n: 1_000.0 if n < 12 else 200.0, id="one that becomes busy for good"),
        pytest.param(lambda n: 1_000.0 / (1 + n // 4), id="one that is ever busier"),
    ],
)
def test_a_machine_that_slows_down_leaves_the_ratio_as_it_is(speed_at):
    ours, theirs, _ = sides(speed_at)
    samples = Samples()
    ask_in_pairs(samples, ours, theirs, pairs=5)
    assert RATIO.value(samples) == pytest.approx(0.8)
    assert len(RATIO.of_pairs(samples)) == 5


def test_the_ratio_is_the_median_of_the_pairs_and_not_of_both_medians():
    samples = Samples(values={"ours_per_s": [1.0, 20.0, 300.0], "theirs_per_s": [2.0, 100.0, 10.0]})
    assert RATIO.value(samples) == 0.5
    one = Measurement(name="x", ratios=(RATIO,), units=units_of("ours", "theirs"),
                      run=lambda *_: None, steps=lambda rounds: rounds)  # fmt: skip
    console = Console(file=io.StringIO(), width=200)
    console.print(ratios_table([one], samples))
    assert "0.50 (0.20 to 30.00)" in console.file.getvalue()  # type: ignore[attr-defined]
    for name in one.units:
        samples.values.setdefault(name, [1.0])
    told = document([one], samples, rounds=1, seconds=1.0, quick=True)
    assert told["spreads"] == {"k": [0.2, 30.0]}


def test_a_ratio_without_target_is_shown_and_asked_nothing():
    figure = Ratio(key="k", ours="ours_per_s", ceiling="theirs_per_s", target=None)
    samples = Samples(values={"ours_per_s": [10.0], "theirs_per_s": [1_000.0]})
    units = {"ours_per_s": "calls/s", "theirs_per_s": "calls/s"}
    one = Measurement(name="x", ratios=(figure,), units=units,
                      run=lambda *_: None, steps=lambda rounds: rounds)  # fmt: skip
    told = document([one], samples, rounds=1, seconds=1.0, quick=True)
    assert (told["ratios"], told["targets"], told["met"]) == ({"k": 0.01}, {}, {})
    console = Console(file=io.StringIO(), width=200)
    console.print(ratios_table([one], samples))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "0.01" in shown
    assert "met" not in shown
    assert "short" not in shown


def test_a_figure_that_stands_by_itself_is_asked_for_and_chosen():
    asked = (Target(figure="wait_ms", target=15.0, at_least=False),
             Target(figure="moved_mib_s", target=5.0))  # fmt: skip
    units = {"wait_ms": "ms", "moved_mib_s": "MiB/s"}
    one = Measurement(name="x", ratios=(), units=units, run=lambda *_: None,
                      steps=lambda rounds: rounds, targets=asked)  # fmt: skip
    samples = Samples(values={"wait_ms": [12.0, 14.0, 90.0], "moved_mib_s": [4.0]})
    told = document([one], samples, rounds=3, seconds=1.0, quick=True)
    assert told["targets"] == {"wait_ms": {"at_most": 15.0}, "moved_mib_s": {"at_least": 5.0}}
    assert told["met"] == {"wait_ms": True, "moved_mib_s": False}
    console = Console(file=io.StringIO(), width=200)
    console.print(ratios_table([one], samples))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("≤ 15.0" in shown, "≥ 5.0" in shown) == (True, True)
    assert (shown.count("met"), shown.count("short")) == (1, 1)
    assert keys([one]) == ["wait_ms", "moved_mib_s"]
    assert (that_give(["wait_ms"], [one]), that_give(["else"], [one])) == ([one], [])


def test_what_a_process_uses_of_processors_only_grows():
    before = cpu_s(os.getpid())
    sum(range(3_000_000))
    assert cpu_s(os.getpid()) >= before > 0
