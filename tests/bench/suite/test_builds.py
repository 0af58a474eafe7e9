"""Two builds are asked in turns, each first as often as the other; a copy of sources has nothing
that was compiled of them; where nobody sees a bar, a line tells of each step."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.__main__ import Steps, parse
from bench.suite.builds import IN_PROCESS, against, in_turns, sources_alone
from bench.suite.measurement import Samples
from bench.suite.observing import PACKAGES

KNOWN = ("one_vs_two",)


def counted(said: list[str], name: str, took: float) -> Callable[[], float]:
    def run() -> float:
        said.append(name)
        return took

    return run


def test_each_build_is_first_as_often_as_the_other() -> None:
    said: list[str] = []
    samples = Samples()
    runs = {"this": counted(said, "this", 2.0), "other": counted(said, "other", 3.0)}
    in_turns(samples, runs, name="call", pairs=2)
    assert said == ["this", "other", "other", "this", "other", "this", "this", "other"]
    assert samples.values == {"this_call_us": [2.0, 2.0], "other_call_us": [3.0, 3.0]}


def test_a_build_that_takes_less_is_told_by_a_ratio_above_one() -> None:
    samples = Samples()
    for name in IN_PROCESS:
        samples.values |= {f"this_{name}_us": [2.0], f"other_{name}_us": [3.0]}
    samples.values |= {"this_server_cpu_us": [50.0], "other_server_cpu_us": [75.0]}
    samples.values |= {"this_server_per_s": [15.0], "other_server_per_s": [10.0]}
    ratios = against(Path("elsewhere")).ratios
    assert [ratio.value(samples) for ratio in ratios] == [1.5] * len(ratios)


def test_a_copy_of_the_sources_has_nothing_that_was_compiled(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for package in (*PACKAGES, "data-sharing"):
        (root / package).mkdir(parents=True)
        (root / package / "module.py").write_text("")
        (root / package / "module.cpython-311-x86_64-linux-gnu.so").write_bytes(b"")
    copy = sources_alone(root, tmp_path / "copy")
    names = {file.name for file in copy.rglob("*") if file.is_file()}
    assert names == {"module.py"}


def test_a_step_is_a_line() -> None:
    out = io.StringIO()
    steps = Steps("single calls", 3, 0.0, out)
    steps.step()
    steps.step()
    first, second = out.getvalue().splitlines()
    assert first.startswith("single calls: 1 of 3, ")
    assert second.startswith("single calls: 2 of 3, ")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--against", "no/such/folder"], id="there is no such folder"),
        pytest.param(["--against", ".", "--only", "one_vs_two"], id="with a ratio of its own"),
    ],
)
def test_what_cannot_be_compared_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words, KNOWN)
    assert ended.value.code == 2
