"""Durations as people write them: 90s, 15m, 1h, 30d; a plain number is seconds."""

from __future__ import annotations

import re

from control_plane.printable import quoted

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_FORM = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd]?)", re.ASCII)


def duration_s(text: str) -> float:
    """In seconds. Raises ValueError that says how one is written.

    >>> duration_s("1h"), duration_s("90"), duration_s("1.5d")
    (3600.0, 90.0, 129600.0)
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{quoted(text)} is no duration; write 90s, 15m, 1h or 30d")
    return float(found[1]) * _SECONDS[found[2]]
