"""Wall clocks of processes, put off by libfaketime. Skips where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest


def an_hour(sign: str) -> dict[str, str]:
    """The environment of a program whose wall clock shall be off. Its monotonic clock stays
    true, as it does when NTP or an operator sets the other one."""
    found = [
        library
        for pattern in ("lib/*/faketime/libfaketimeMT.so.1", "lib/faketime/libfaketimeMT.so.1")
        for library in Path("/usr").glob(pattern)
    ]
    if not found:
        pytest.skip("no libfaketime here; Debian: apt install faketime")
    # Not the `faketime` command: it waits for a child, which outlives it when it is killed.
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME": f"{sign}1h",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
