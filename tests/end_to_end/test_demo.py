"""`make demo`, smaller: what it prints and leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_demo_tells_its_whole_story(tmp_path: Path) -> None:
    """Summary, explanation, one ticket admitted and refused, a map; and it can be repeated."""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "console.demo.provisioning", "--clients", "500",
             "--output", str(tmp_path)],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        for words in (
            "Clients that have a home now: 500 of 500",
            "ap-southeast",
            "One decision, explained",
            "admitted",
            "refused: wrong-unit",
            "IP Geolocation by DB-IP",
        ):
            assert words in done.stdout
        assert (tmp_path / "world.png").stat().st_size > 50_000
        assert (tmp_path / "world.svg").exists()
