"""vobject (PyPI), a reader of others: what it finds in vCards of ours.

The package is installed once, by the version that is pinned here, into ~/.cache/homeport.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

PACKAGE = "vobject==0.9.9"
FOLDER = Path.home() / ".cache" / "homeport" / "vcard-reader-1"
LIMIT_S = 120.0


def read_elsewhere(cards: Sequence[str]) -> list[list[tuple[str, str, list[str]]]]:
    """Of each card its properties in order: name, value, types. Skips the test where there is no
    package registry."""
    _install()
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("read.py"))],
        input=json.dumps(list(cards)), capture_output=True, text=True, timeout=LIMIT_S,
        env={**os.environ, "PYTHONPATH": str(FOLDER)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [
        [(name, value, types) for name, value, types in card] for card in json.loads(done.stdout)
    ]


def _install() -> None:
    if (FOLDER / "ready").exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(FOLDER), PACKAGE],
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"pip cannot install {PACKAGE}: {done.stderr.strip()[:200]}")
    (FOLDER / "ready").touch()
