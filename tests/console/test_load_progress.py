"""What a log hears of a load that goes on for long."""

from __future__ import annotations

from collections import Counter

import pytest

from console.cli.load_progress import TOLD_EVERY_PREPARED, TOLD_EVERY_S, live_progress
from simulation.load.counts import LoadSecond
from simulation.load.settings import LoadSettings


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with live_progress(LoadSettings(duration_s=3.0 * TOLD_EVERY_S)) as progress:
        for tenth in range(1, 26):
            progress.prepared(tenth * TOLD_EVERY_PREPARED // 10)
        for second in range(3 * TOLD_EVERY_S - 1):
            progress.passed(LoadSecond(second=second, arrived=Counter({"new": 7})))
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == ["known users with a home: 500,000", "known users with a home: 1,000,000"]
    assert [line.split(" s ")[0] for line in told[2:]] == ["30", "60"]
    assert all("arrived 7/s" in line and "limited by" in line for line in told[2:])
