"""A disk of a few megabytes, to be filled: a tmpfs. Skips where this machine mounts none."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DETACH = 2  # MNT_DETACH: also where a process that is ending has files open


@contextmanager
def small_disk(where: Path, size_bytes: int) -> Iterator[Path]:
    """A tmpfs at a new folder, gone when left."""
    where.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", str(where).encode(), b"tmpfs", 0, b"size=%d" % size_bytes):
        pytest.skip(f"no tmpfs may be mounted here: {os.strerror(ctypes.get_errno())}")
    try:
        yield where
    finally:
        libc.umount2(str(where).encode(), DETACH)


def fill(ballast: Path) -> None:
    """Writes until nothing more fits."""
    target = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(target, b"\0" * 4_096)
    except OSError as full:
        if full.errno != errno.ENOSPC:
            raise
    finally:
        os.close(target)
