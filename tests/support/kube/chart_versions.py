"""The charts of this checkout, and their first versions as they were committed."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from tests.support.kube.images import PROJECT

CHART = PROJECT / "helm" / "homeport"
UNIT_CHART = PROJECT / "helm" / "homeport-unit"
_LIMIT_S = 60.0


def first_version(chart: Path, folder: Path) -> Path | None:
    """The chart as it was first committed, below `folder`; None: its history is not here."""
    below = chart.relative_to(PROJECT)
    found = _git("log", "--diff-filter=A", "--format=%H", "--", str(below / "Chart.yaml"))
    if not found.split():
        return None
    archive = _git_bytes("archive", found.split()[-1], str(below))
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder / below


def _git(*words: str) -> str:
    return _git_bytes(*words).decode()


def _git_bytes(*words: str) -> bytes:
    done = subprocess.run(
        ["git", *words], cwd=PROJECT, capture_output=True, timeout=_LIMIT_S, check=False
    )
    return done.stdout if done.returncode == 0 else b""
