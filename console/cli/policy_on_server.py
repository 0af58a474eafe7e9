"""Policies tried and simulated by a server: with its units, its clients and its geo database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from console.cli.calls.policies import PolicyCalls, Simulated
from console.cli.failure import CommandFailed, ExitCode
from console.cli.input.text_file import read_text
from console.cli.output import busy, warn
from console.cli.profile import Target
from homeport.api.policy.v1 import policy_pb2 as pb
from simulation.policy.case_run import CaseResult


class LocalOptions(NamedTuple):
    """Files that a server does not read. Empty: not given."""

    units: Path | None
    geo: Path | None

    def refuse(self) -> None:
        """Raises CommandFailed where one is given."""
        for name, given in zip(("--units", "--geo"), self, strict=True):
            if given is not None:
                raise CommandFailed(
                    f"{name} is for simulations on this machine; a server has its own: leave it "
                    "out, or leave out what asks the server",
                    ExitCode.USAGE,
                )


def test_on_server(
    target: Target, file: Path, cases: Path, hook_answers: Path | None, latencies: Path | None
) -> list[CaseResult]:
    """What becomes of each case."""
    document, texts = read_text(file), read_text(cases)
    answers, measured = _text(hook_answers), _text(latencies)
    with PolicyCalls(target) as service, busy("the server tries the cases"):
        found = service.test(document, texts, answers, measured)
    _tell_away(found.hooks_away)
    return [
        CaseResult(
            name=one.name, unit=one.unit_id, rule=one.rule, reason=one.reason, broken=one.broken
        )
        for one in found.results
    ]


def simulate_on_server(
    target: Target,
    request: pb.SimulatePolicyRequest,
    *,
    file: Path | None,
    current: Path | None,
    hook_answers: Path | None,
    latencies: Path | None,
) -> tuple[dict[str, Any], Simulated]:
    """The document of a simulation, and its page and picture."""
    request.document = _text(file)
    request.current = _text(current)
    request.hook_answers = _text(hook_answers)
    request.latencies = _text(latencies)
    with PolicyCalls(target) as service, busy("the server simulates") as say:
        found = service.simulate(request, progress_words(say, time.monotonic))
    _tell_away(found.hooks_away)
    document: dict[str, Any] = json.loads(found.report)
    return document, found


def progress_words(
    say: Callable[[str], None], clock: Callable[[], float]
) -> Callable[[pb.SimulationProgress], None]:
    """Tells `say` how far a simulation is, and how long it will take. clock: seconds."""
    doing, begun = "", 0.0

    def told(progress: pb.SimulationProgress) -> None:
        nonlocal doing, begun
        if progress.doing != doing:
            doing, begun = progress.doing, clock()
        words = f"{doing}: {progress.done:,}" if progress.done else doing
        if progress.total and progress.done:
            share = min(1.0, progress.done / progress.total)
            left_s = (clock() - begun) * (1.0 - share) / share
            words = f"{words} of {progress.total:,}, {left_s:,.0f} s left"
        say(words)

    return told


def _text(file: Path | None) -> str:
    return read_text(file) if file is not None else ""


def _tell_away(hooks: list[str] | Any) -> None:
    warn(f"hook {name} counts as away; --hook-answers says what it would say" for name in hooks)
