"""Microsoft's renderer of Adaptive Cards (npm), in jsdom: what it shows of a card.

The packages are installed once, by the version that is pinned here, into ~/.cache/homeport.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

# jsdom: the newest that runs on Node.js 20; 30 and 31 need 22.
PACKAGES = ("adaptivecards@3.0.6", "jsdom@29.1.1", "markdown-it@14.1.0")
FOLDER = Path.home() / ".cache" / "homeport" / "card-renderer-2"
LIMIT_S = 300.0


def rendered_elsewhere(documents: Sequence[Any]) -> list[dict[str, Any]]:
    """Of each card, `words` (texts in order) and `actions` (how many words stand before, and the
    title). Skips the test where there is no Node.js or no package registry."""
    modules = _installed()
    done = subprocess.run(
        ["node", str(Path(__file__).with_name("render.cjs"))],
        input="\n".join(json.dumps(one) for one in documents),
        env={"NODE_PATH": str(modules), "PATH": _path()},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(found) == len(documents), done.stderr
    assert [one["error"] for one in found if "error" in one] == []
    return found


def _installed() -> Path:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node.js with npm here to run the renderer of Adaptive Cards")
    modules = FOLDER / "node_modules"
    ready = FOLDER / "ready"
    if not ready.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["npm", "install", "--silent", "--ignore-scripts", "--prefix", str(FOLDER), *PACKAGES],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        if done.returncode:
            pytest.skip(f"npm cannot install the renderer: {done.stderr.strip()[:200]}")
        ready.touch()
    return modules


def _path() -> str:
    node = shutil.which("node")
    return str(Path(node).parent) if node else ""
