"""webfinger.js (npm), a client of others: what it makes of answers of ours.

The package is installed once, by the version that is pinned here, into ~/.cache/homeport.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

PACKAGE = "webfinger.js@3.0.6"
FOLDER = Path.home() / ".cache" / "homeport" / "webfinger-client-1"
LIMIT_S = 120.0


async def looked_up(origin: str, resources: Sequence[str]) -> list[dict[str, Any]]:
    """Of each resource `object` (the JRD) and `idx` (what the client read of it), or `error` and
    `status`. origin: where all hosts are served. Skips the test where there is no Node.js or no
    package registry."""
    await _install()
    node = shutil.which("node")
    assert node is not None
    done = await asyncio.create_subprocess_exec(
        node,
        str(Path(__file__).with_name("lookup.mjs")),
        env={"MODULES": str(FOLDER / "node_modules"), "ORIGIN": origin},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT_S):
        out, errors = await done.communicate("\n".join(resources).encode())
    assert done.returncode == 0, errors.decode()
    return [json.loads(line) for line in out.splitlines()]


async def _install() -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node.js with npm here to run webfinger.js")
    if (FOLDER / "ready").exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    done = await asyncio.create_subprocess_exec(
        "npm", "install", "--silent", "--ignore-scripts", "--prefix", str(FOLDER), PACKAGE,
        stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(LIMIT_S):
        _, errors = await done.communicate()
    if done.returncode:
        pytest.skip(f"npm cannot install webfinger.js: {errors.decode().strip()[:200]}")
    (FOLDER / "ready").touch()
