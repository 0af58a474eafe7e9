"""Whole-file replacement: a reader sees the old content of a file or the new one, never a part.

The content goes into a scratch file beside the target and is renamed over it. `durable` also
syncs the file before the rename and the folder after it, so that a power cut leaves either of
the two; without it only a crash of the process is covered. A scratch file has the process's id
and a number of its own in its name: several processes and threads may replace one file.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

_numbers = itertools.count()


def replace_file(
    path: Path, content: bytes, *, durable: bool = False, mode: int | None = None
) -> None:
    """Puts `content` in the place of what stood at `path`. mode: permission bits of the new file
    whatever the umask is (0o600 for what holds secrets), set before anything is in it; default:
    as any new file. The folder must be there. Raises OSError, and then the old file stands and no
    scratch file is left."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{next(_numbers)}")
    scratch.unlink(missing_ok=True)  # of one that died with our process id
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    target = os.open(scratch, flags, 0o666 if mode is None else mode & 0o600)
    try:
        with os.fdopen(target, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:  # whatever it was, nothing is left lying about
        scratch.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable: what was created, renamed or removed in it. Raises
    OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
