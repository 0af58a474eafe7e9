"""What the library keeps on disk is for its user alone: assignments with their tickets, and keys.

Folders are made with mode 0700 and files with 0600, whatever the umask is. A file that others can
read is closed, and that is said; one that others can write is not believed, and neither is
somebody else's: whoever could put a file there could send the client to a unit of theirs. A folder
that was there keeps its mode where it is another user's or holds anything that is not ours; files
are looked at one by one, so others who may write to it can at worst take some away.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

MAX_FILE_BYTES = 64 * 1024  # an EdDSA ticket with long names takes 1 kB
_OTHERS, _OTHERS_WRITE = 0o077, 0o022
_KEPT = re.compile(r"[0-9a-f]{40}\.(json|key)|\..*\.tmp", re.ASCII)

log = logging.getLogger("homeport")


def private_folder(folder: Path) -> None:
    """Makes a folder, and those above it, for this user alone. One that is there and holds nothing
    but what the library keeps is closed to others. Raises OSError."""
    try:
        found = os.stat(folder)
    except FileNotFoundError:
        if not folder.parent.is_dir():
            private_folder(folder.parent)
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)
            os.chmod(folder, 0o700)
        return
    if not hasattr(os, "geteuid") or not found.st_mode & _OTHERS:
        return
    if found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX and _is_ours(folder):
        os.chmod(folder, 0o700)
        _say_closed(folder, found)


def read_own(path: Path) -> bytes:
    """The content of a file of this user's, which is closed to others by then. Raises OSError,
    ValueError for one that is not to be believed."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    handle = os.open(path, flags)
    with os.fdopen(handle, "rb") as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode):
            raise ValueError("not a regular file")
        if hasattr(os, "geteuid"):
            if info.st_uid != os.geteuid():
                raise ValueError(f"it belongs to user {info.st_uid}")
            if info.st_mode & _OTHERS_WRITE:
                raise ValueError(
                    f"others could write it (mode {_mode(info):o}); delete it, or run `chmod 600` "
                    "if it is sure to be as it was"
                )
            if info.st_mode & _OTHERS:
                os.fchmod(file.fileno(), 0o600)
                _say_closed(path, info)
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError("too large")
    return content


def _is_ours(folder: Path) -> bool:
    """Whether it holds nothing but what the library keeps."""
    with os.scandir(folder) as found:
        return all(_KEPT.fullmatch(one.name) for one in found)


def _say_closed(path: Path, found: os.stat_result) -> None:
    log.warning("%s was open to others (mode %o); it is not any more", path, _mode(found))


def _mode(found: os.stat_result) -> int:
    return stat.S_IMODE(found.st_mode)
