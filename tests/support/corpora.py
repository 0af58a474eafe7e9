"""Cases of others, which are no part of the project: beside it, or where HOMEPORT_CORPORA says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("HOMEPORT_CORPORA") or _ROOT.parent / "shared" / "data" / "corpora")


def corpus(name: str) -> Path:
    """A file of them. Skips the test, with the reason, where it is absent."""
    file = FOLDER / name
    if not file.exists():
        pytest.skip(f"{name} is not in {FOLDER}: cases of others, which the project does not hold")
    return file
