"""Declared positions: what a caller with the right to it says, checked."""

from __future__ import annotations

import math

from control_plane.errors import InvalidInput
from control_plane.printable import quoted


def check_position(latitude: object, longitude: object, field: str) -> tuple[float, float]:
    """(latitude, longitude) in degrees. Raises InvalidInput naming the one that is wrong."""
    checked = []
    for name, value, limit in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise InvalidInput(f"{field}.{name}", f"{field}.{name} {quoted(value)} is not a number")
        if not math.isfinite(value) or abs(value) > limit:
            raise InvalidInput(
                f"{field}.{name}",
                f"{field}.{name} is {value}; it must be between {-limit} and {limit} degrees",
            )
        checked.append(float(value))
    return checked[0], checked[1]
