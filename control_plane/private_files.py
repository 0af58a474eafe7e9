"""Private files: what a process keeps on disk is for its own user, whatever the umask is.

Folders get mode 0700 and files 0600 as they are made, so there is no moment in which others can
open them. What is there already and lies open, of an earlier version or a generous hand, is mended
at start and said once; what belongs to somebody else is refused, because its owner can change it
back at any time.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from control_plane.errors import Refused

log = logging.getLogger(__name__)

FOLDER_MODE, FILE_MODE = 0o700, 0o600
UMASK = 0o077
_OTHERS = 0o077
_NAMED = 3  # paths in a message


def private_folder(folder: Path) -> None:
    """Makes a folder that is not there, and those above it that are not, for us alone. One that is
    there stays as it is. Raises OSError."""
    if not folder.parent.exists():
        private_folder(folder.parent)
    try:
        os.mkdir(folder, FOLDER_MODE)
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        os.chmod(folder, FOLDER_MODE)  # a umask can take bits of ours away


def open_private(path: Path, flags: int) -> int:
    """A descriptor of a file, which is made for us alone where it is not there (flags with
    O_CREAT), and mended where it lies open to others. Raises OSError; Refused where it is
    somebody else's."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, FILE_MODE)
    try:
        found = os.fstat(descriptor)
        check_owner(path, found)
        if _needs_mending(path, found):
            os.fchmod(descriptor, FILE_MODE)
    except BaseException:  # whatever it was, nobody else can close it
        os.close(descriptor)
        raise
    return descriptor


def make_private(path: Path) -> None:
    """Sees to it that a file is there, for us alone. Raises as open_private.

    What is there is never opened: closing it would give up the locks that SQLite has on it
    (https://sqlite.org/howtocorrupt.html, 2.2)."""
    try:
        os.close(open_private(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        mend_file(path)


def mend_file(path: Path) -> None:
    """Closes a file to others where there is one, without opening it. Raises as open_private."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    check_owner(path, found)
    if _needs_mending(path, found):
        os.chmod(path, FILE_MODE)


def close_folder(folder: Path, *, parts: Iterable[str], leave: Collection[str] = ()) -> None:
    """Sees to it that nobody else can look into a folder of ours, nor into its parts; what was open
    is said in one line. parts: patterns of names in it, with all that is below; whatever else lies
    there keeps its mode. leave: names of files that whoever reads them looks at, and refuses.

    Raises OSError; Refused for what is somebody else's.
    """
    found = os.lstat(folder)
    check_owner(folder, found)
    if not found.st_mode & _OTHERS:
        return  # nobody else has come further than here
    os.chmod(folder, FOLDER_MODE)  # first: from now on nobody can put anything in our way
    mended = [folder]
    for pattern in parts:
        for path in sorted(folder.glob(pattern)):
            mended.extend(_mended_at(path, leave))
    names = ", ".join(str(one) for one in mended[:_NAMED])
    more = f" and {len(mended) - _NAMED} more" if len(mended) > _NAMED else ""
    log.warning("open to others until now, and closed: %s%s", names, more)


def _mended_at(path: Path, leave: Collection[str]) -> Iterator[Path]:
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode) or path.name in leave:
        return
    check_owner(path, found)
    inside = stat.S_ISDIR(found.st_mode)
    if found.st_mode & _OTHERS:
        # What only its owner may run, he may go on running.
        os.chmod(path, FOLDER_MODE if inside else FILE_MODE | (found.st_mode & stat.S_IXUSR))
        yield path
    if inside:
        for one in sorted(path.iterdir()):
            yield from _mended_at(one, leave)


def check_owner(path: Path, found: os.stat_result) -> None:
    """Raises Refused where somebody else has it, who could open it again at any time."""
    if found.st_uid != os.geteuid():
        raise Refused(
            f"{path} belongs to user {found.st_uid} and not to {os.geteuid()}, who runs this; "
            "run it as that user, give it to this one (chown -R), or name another place"
        )


def _needs_mending(path: Path, found: os.stat_result) -> bool:
    """Whether a file has another mode than ours have; says where others had a way to content."""
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode) or mode == FILE_MODE:
        return False
    if found.st_size and mode & _OTHERS:
        log.warning("%s was open to others (mode %o); it is not any more", path, mode)
    return True
