"""Paths at which no file, or no folder, can be made, also by root."""

from __future__ import annotations

import os
from pathlib import Path

# None of them is a file of the machine's own: what is tested may well replace it.
FILES = ("a-folder", "below-a-file", "deep-below-a-file", "a-long-name", "below-a-long-name",
         "where-the-kernel-lets-nobody", "a-fifo")  # fmt: skip
FOLDERS = tuple(kind for kind in FILES if kind != "a-folder")


def unwritable(folder: Path, kind: str) -> Path:
    """One of these kinds, in a folder of the test's own."""
    (folder / "there").mkdir(exist_ok=True)
    (folder / "file").touch()
    if not (folder / "fifo").exists():
        os.mkfifo(folder / "fifo")
    return {
        "a-folder": folder / "there",
        "below-a-file": folder / "file" / "x",
        "deep-below-a-file": folder / "file" / "x" / "y",
        "a-long-name": folder / ("n" * 300),
        "below-a-long-name": folder / ("n" * 300) / "x",
        "where-the-kernel-lets-nobody": Path("/proc/homeport/x"),
        "a-fifo": folder / "fifo",
    }[kind]
