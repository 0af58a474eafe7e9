"""Paths that somebody names and a program writes to: whether it can, before it does anything else.

Folders that are not there are made, as they are when something is written, for this user alone.
Nothing is written into a file or folder that is there: a disk that fills up later, or a folder
that changes hands, shows when it is written to.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from control_plane.errors import InvalidInput
from control_plane.printable import why_unreadable
from control_plane.private_files import private_folder

_SCRATCH = "0" * 20  # what a name grows by while its file is being replaced, at most


def check_written_file(path: Path, named: str) -> None:
    """Of a file that is made, or put in the place of one. named: by what, as a message says it,
    such as `--ready-file`. Raises InvalidInput."""
    _check_kind(path, named)
    check_written_folder(path.parent, named, of=path)
    try:
        os.lstat(path.with_name(f".{path.name}.{_SCRATCH}"))
    except FileNotFoundError:
        pass  # and there is room for such a name
    except (OSError, ValueError) as error:
        raise _unwritable(named, path, error) from error


def check_written_folder(path: Path, named: str, *, of: Path | None = None) -> None:
    """Of a folder in which files are made. of: the file that was named. Raises InvalidInput."""
    shown = of or path
    try:
        private_folder(path)
    except (FileExistsError, NotADirectoryError):
        above = "what is above it" if of is not None else "it, or what is above it,"
        what = "a file in a folder" if of is not None else "a folder"
        raise _refused(named, f"{shown}: {above} is no folder; name {what}") from None
    except (OSError, ValueError) as error:
        raise _unwritable(named, shown, error) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise _refused(named, _may_not_write(shown, path))


def refuse_unwritable(path: Path, named: str, *, folder: bool) -> None:
    """What the checks above would refuse, as far as it shows without making anything: `path` is a
    folder in which files are made, or a file that is. Raises InvalidInput."""
    if not folder:
        _check_kind(path, named)
    there = path
    while True:
        try:
            os.lstat(there)
        except (FileNotFoundError, NotADirectoryError):
            there = there.parent
        except (OSError, ValueError) as error:
            raise _unwritable(named, path, error) from error
        else:
            break
    if there == path and not folder:
        there = path.parent
    if not there.is_dir():
        raise _refused(named, f"{path}: {there} is no folder; name another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise _refused(named, _may_not_write(path, there))


def _may_not_write(path: Path, folder: Path) -> str:
    return (
        f"{path} cannot be written: user {os.geteuid()}, who runs this, may not write in "
        f"{folder}; name another place, or give that folder to this user"
    )


def _check_kind(path: Path, named: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        raise _unwritable(named, path, error) from error
    if stat.S_ISDIR(mode):
        raise _refused(named, f"{path} is a folder; name a file, such as one in it")
    if not stat.S_ISREG(mode):
        raise _refused(named, f"{path} is no ordinary file; name another one")


def _unwritable(named: str, path: Path, error: Exception) -> InvalidInput:
    return _refused(named, f"{path} cannot be written: {why_unreadable(error)}; name another place")


def _refused(named: str, what: str) -> InvalidInput:
    return InvalidInput(named.lstrip("-").replace("-", "_"), f"{named} {what}")
