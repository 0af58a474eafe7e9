"""The executor of the local stack, over programs that do as they are told, or do not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from console.local.stack import LocalStack, StackFailed, StartInterrupted
from console.local.stack_plan import MOST_RESTARTS, Argument, Program, ReportedValue, StackPlan

LIMIT_S = 30.0
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def our_tests_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a package of the same name that a dependency brings: programs of the stack are started
    without the folder that they are started in."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def program(folder: Path, name: str, *arguments: Argument, stop_within_s: float = 20.0) -> Program:
    ready_file = folder / "run" / f"{name}.json"
    return Program(
        name=name,
        module="tests.console.local.program",
        arguments=(*arguments, f"--ready-file={ready_file}"),
        ready_file=ready_file,
        log=folder / "logs" / f"{name}.log",
        ready_within_s=LIMIT_S,
        stop_within_s=stop_within_s,
    )


def wait_until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_what_starts_first_stops_last(tmp_path: Path) -> None:
    steps: list[str] = []
    plan = StackPlan(programs=(program(tmp_path, "a"), program(tmp_path, "b")), ports={})
    with LocalStack(plan, tmp_path, on_step=steps.append) as stack:
        assert set(stack.pids) == {"a", "b"}
    assert steps == ["starting a", "starting b", "stopping b", "stopping a"]
    assert stack.pids == {}


def test_who_needs_nobody_starts_beside_the_others(tmp_path: Path) -> None:
    """And who needs something is started once that serves."""
    needs_a = program(tmp_path, "c", ReportedValue("a", "number", prefix="--number="))
    programs = (program(tmp_path, "a"), program(tmp_path, "b"), needs_a)
    assert [one.needs for one in programs] == [set(), set(), {"a"}]
    with LocalStack(StackPlan(programs=programs, ports={}), tmp_path) as stack:
        assert set(stack.facts) == {"a", "b", "c"}


def test_a_program_that_keeps_ending_ends_the_stack(tmp_path: Path) -> None:
    """After as many restarts as the plan allows, each waited for, with its last words."""
    clock, troubles = Clock(), list[str]()
    plan = StackPlan(programs=(program(tmp_path, "a"), program(tmp_path, "b", "--brief")), ports={})
    with LocalStack(plan, tmp_path, on_trouble=troubles.append, clock=clock) as stack:
        for restart in range(MOST_RESTARTS):
            wait_until(lambda: "b" not in stack.pids)
            stack.tend()  # sees that it has ended
            assert len(troubles) == restart + 1
            stack.tend()  # too early to start it again
            assert "b" not in stack.pids
            clock.now_s += 4.0
            stack.tend()
        wait_until(lambda: "b" not in stack.pids)
        with pytest.raises(StackFailed, match=r"(?s)b keeps ending.*what I had to say"):
            stack.tend()
        assert set(stack.pids) == {"a"}
    assert stack.pids == {}


def test_a_program_that_does_not_listen_is_killed_and_named(tmp_path: Path) -> None:
    troubles: list[str] = []
    stubborn = program(tmp_path, "b", "--stubborn", stop_within_s=0.2)
    plan = StackPlan(programs=(program(tmp_path, "a"), stubborn), ports={})
    with LocalStack(plan, tmp_path, on_trouble=troubles.append) as stack:
        pass
    assert stack.pids == {}
    assert [trouble[:19] for trouble in troubles] == ["the b did not end w"]


def test_an_interrupted_start_leaves_nothing_running(tmp_path: Path) -> None:
    """The program that needs the first is never started, the first is stopped."""
    steps: list[str] = []
    needs_a = program(tmp_path, "b", ReportedValue("a", "number", prefix="--number="))
    plan = StackPlan(programs=(program(tmp_path, "a"), needs_a), ports={})
    stack = LocalStack(plan, tmp_path, on_step=steps.append, interrupted=lambda: True)
    with pytest.raises(StartInterrupted):
        stack.start()
    assert stack.pids == {}
    assert "starting b" not in steps


def test_a_data_directory_is_free_again_after_the_stop(tmp_path: Path) -> None:
    plan = StackPlan(programs=(program(tmp_path, "a"),), ports={})
    with LocalStack(plan, tmp_path), pytest.raises(StackFailed, match="another homeport up"):
        LocalStack(plan, tmp_path).start()
    with LocalStack(plan, tmp_path) as again:
        assert set(again.pids) == {"a"}
