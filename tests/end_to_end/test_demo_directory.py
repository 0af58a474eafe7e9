"""`make demo-directory` as a test: a chapter is told only where every step of it is true."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from console.demo.directory.chapters import CHAPTERS


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_every_chapter_is_true(tmp_path: Path) -> None:
    """One document comes out, and nothing else on stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "console.demo.directory", "-o", "json", "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=1_150,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert tuple(one["chapter"] for one in told["chapters"]) == CHAPTERS
    of_systems = [one["chapter"] for one in told["systems"] if one["chapter"]]
    assert len(told["systems"]) == 7
    assert {*of_systems} == {*CHAPTERS[1:-1]}
