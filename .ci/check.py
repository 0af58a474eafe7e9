"""`make check`: everything that can be known without running Homeport.

All checks run even when one fails, as many at a time as there are processors; the output of those
that fail is shown at the end.
Breaking changes of the contract are looked for against the newest release tag. Before the
first release nobody depends on the contract, so there is nothing to break, and that check is
left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LIMIT_S = 1_200  # .ci/run has them step back behind the tests


def git(*words: str) -> str:
    """A git command's output; empty where it fails."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def released() -> str:
    """The commit of the newest release tag, v<version>; empty before the first release, and in
    a clone without tags."""
    tag = git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
    return git("rev-parse", "--verify", "--quiet", f"{tag}^{{commit}}") if tag else ""


def checks() -> dict[str, list[str]]:
    """What to run, by name; what takes longest comes first, so that the others run beside it."""
    found = {
        "types": [str(BIN / "mypy")],
        "imports": [str(BIN / "lint-imports")],
        "format": [str(BIN / "ruff"), "format", "--check", "."],
        "lint": [str(BIN / "ruff"), "check", "."],
        "proto lint": [str(BIN / "buf"), "lint", "proto"],
        "proto drift": [sys.executable, "proto/generate.py", "--check"],
        "dashboards": [sys.executable, "-m", "monitoring.dashboards", "--check"],
        "OpenAPI": [sys.executable, "proto/openapi.py", "--check"],
        "access": [sys.executable, "proto/access_table.py", "--check"],
        "chart values": [sys.executable, "helm/generate.py", "--check"],
        "image locks": [sys.executable, "packaging/image/lock.py", "--check"],
    }
    base = released()
    if base:
        found["proto breaking"] = [
            str(BIN / "buf"), "breaking", "proto", "--against", f".git#ref={base},subdir=proto",
        ]  # fmt: skip
    return found


def run(words: list[str]) -> tuple[float, str | None]:
    """How long a check took, in seconds, and what it said where it failed."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            words, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return time.monotonic() - began, f"not over within {LIMIT_S} s"
    failed = done.returncode != 0
    return time.monotonic() - began, done.stdout + done.stderr if failed else None


def main() -> int:
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        running = {pool.submit(run, words): name for name, words in checks().items()}
        for one in as_completed(running):
            name, (took_s, failure) = running[one], one.result()
            verdict = "ok" if failure is None else "FAILED"
            print(f"{name:16} {verdict:7} {took_s:5.1f} s", flush=True)
            if failure is not None:
                failures[name] = failure
    for name, output in failures.items():
        print(f"\n== {name}\n{output.strip()}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
