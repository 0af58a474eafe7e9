"""Fault points kill at the passing they are told, and every label is passed somewhere."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from control_plane import faultpoints

ROOT = Path(__file__).resolve().parents[2]


def run(setting: str) -> subprocess.CompletedProcess[str]:
    code = (
        "from control_plane import faultpoints as f\n"
        "for n in range(3):\n"
        "    print(n, flush=True)\n"
        "    f.passing('ledger.commit.before')\n"
        "    f.passing('ledger.commit.after')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, faultpoints.VARIABLE: setting, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_nth_passing_is_a_sigkill():
    done = run("ledger.commit.after:2")
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, ["0", "1"])


def test_nothing_happens_where_nothing_is_armed():
    done = run("")
    assert (done.returncode, done.stdout.split()) == (0, ["0", "1", "2"])


def test_a_label_that_is_nowhere_is_refused():
    with pytest.raises(ValueError, match=r"no fault point: ledger\.comit"):
        faultpoints.armed("ledger.comit:1")


def test_every_label_is_passed_in_the_code_and_no_other():
    passed = set()
    for folder in ("control_plane", "deployment_units", "provisioner", "data-sharing/data_sharing"):
        for file in (ROOT / folder).rglob("*.py"):
            passed |= set(re.findall(r'\bpassing\(\s*"([^"]+)"', file.read_text()))
    known = (
        *faultpoints.LABELS, *faultpoints.SHARDS, *faultpoints.MOVING, *faultpoints.DECIDING,
        *faultpoints.REMOVING, *faultpoints.COUNTING, *faultpoints.AUDITING, *faultpoints.CLAIMING,
        *faultpoints.CHECKING_DOMAINS, *faultpoints.NUMBERING,
        *faultpoints.IMPORTING, *faultpoints.ANSWERING, *faultpoints.LINKING,
        *faultpoints.DELIVERING, *faultpoints.INVITING, *faultpoints.REPLICATING,
        *faultpoints.TAKING_OVER, *faultpoints.KEEPING_SNAPSHOTS,
    )  # fmt: skip
    assert sorted(passed) == sorted(known)
