"""The wall clock, and a simulated one for demos and tests in which a day has to pass.

A simulated clock is a file of eight bytes: how far it is ahead of the machine's, in ms, as a
signed little-endian number. Whoever writes it moves the time of every process that maps it,
at once and forwards; between two writes it runs as fast as any clock.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable
from pathlib import Path

from control_plane.errors import InvalidInput
from control_plane.files import replace_file
from control_plane.private_files import FILE_MODE

_OFFSET = struct.Struct("<q")


def wall_ms() -> int:
    """Unix ms by the machine's clock."""
    return time.time_ns() // 1_000_000


def clock_of(file: Path | None) -> Callable[[], int]:
    """Unix ms as the file has it; None: the machine's. Raises InvalidInput for a file that is
    no clock."""
    if file is None:
        return wall_ms
    try:
        with file.open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise InvalidInput("clock_file", f"{file} is not a simulated clock: {error}") from error
    return lambda: wall_ms() + int(_OFFSET.unpack(mapped)[0])


class SimulatedClock:
    """Moves the time of those that map its file."""

    def __init__(self, file: Path, *, starts_at_ms: int) -> None:
        """Makes the file; the time is `starts_at_ms` now."""
        replace_file(file, _OFFSET.pack(starts_at_ms - wall_ms()), mode=FILE_MODE)
        with file.open("r+b") as opened:
            self._mapped = mmap.mmap(opened.fileno(), _OFFSET.size)

    def now_ms(self) -> int:
        return wall_ms() + int(_OFFSET.unpack(self._mapped)[0])

    def go_to(self, at_ms: int) -> None:
        """Raises ValueError for a time that has passed."""
        if at_ms < self.now_ms():
            raise ValueError("a clock does not go backwards")
        self._mapped[:] = _OFFSET.pack(at_ms - wall_ms())
