"""`make demo-decisions` as a test: the story is told only where every step of it is true."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from console.demo.decisions import MONDAY, at, run_scenario
from console.demo.decisions_stack import DecisionsStack


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("feeds", ["", "nats"])
def test_a_morning_in_which_feeds_change_plans_and_applications_follow(
    tmp_path: Path, feeds: str
) -> None:
    out = io.StringIO()
    starts_at_ms = at(MONDAY, "06:00")
    with DecisionsStack(tmp_path / "morning", starts_at_ms=starts_at_ms, feeds=feeds) as stack:
        run_scenario(stack, Console(file=out, width=200))
        story = out.getvalue()
        for said in (
            "Ringing, gentle, at 40 %",
            "Brewing, cups: 2",
            "Heating the car for 20 minutes",
            "rule leave-earlier v1 on plan anna-work: fired",
            "shift_ms = -1200000 by rule leave-earlier",
            "nothing rang, brewed or heated",
        ):
            assert said in story
