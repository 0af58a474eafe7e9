"""DataFolder: a folder that one program keeps its data in, for its user alone.

A folder is Homeport's where it has the marker that Homeport leaves in those it makes, or is one of
before there were markers, by what it keeps. A folder that holds anything else is refused and left
as it is: whoever names the wrong one loses nothing by it. In our own, what the program makes is
closed to others, and what somebody else has put beside it keeps its mode.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from control_plane.errors import Refused
from control_plane.printable import quoted
from control_plane.private_files import check_owner, close_folder, make_private, private_folder

MARKER = ".homeport"
SQLITE = b"SQLite format 3\0"  # https://sqlite.org/fileformat.html, 1.3
LOST_AND_FOUND = "lost+found"  # in the root of every volume with ext4
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """flag: what names it. parts: patterns of the names that the program makes in it. earlier: what
    tells one of before the marker, by path below it: the bytes that this file begins with; None:
    it is a folder."""

    flag: str
    parts: tuple[str, ...]
    earlier: Mapping[str, bytes | None] = field(default_factory=dict)

    def take(self, folder: Path, *, leave: Collection[str] = ()) -> None:
        """Makes the folder, or sees to it that the one that is there is ours and that nobody else
        can look into it. leave: names of files that whoever reads them looks at, and refuses.

        Raises OSError; Refused for a folder that is not ours alone to close: one that Homeport did
        not make, somebody else's, one that many write to (sticky, as /tmp), or the root of all.
        """
        folder = folder.resolve()
        private_folder(folder)
        found = os.lstat(folder)
        if folder == Path(folder.anchor) or found.st_mode & stat.S_ISVTX:
            raise Refused(f"{folder} is shared with others; name a folder of its own below it")
        check_owner(folder, found)
        if not is_marked(folder):
            self._check_ours(folder)
            make_private(folder / MARKER)
        close_folder(folder, parts=(MARKER, *self.parts), leave=leave)

    def _check_ours(self, folder: Path) -> None:
        """Raises Refused."""
        inside = sorted(one for one in os.listdir(folder) if one != LOST_AND_FOUND)
        foreign = [one for one in inside if not is_marked(folder / one)]
        if not foreign or any(_is(folder / name, what) for name, what in self.earlier.items()):
            return
        names = ", ".join(quoted(one) for one in foreign[:_NAMED])
        more = f" and {len(foreign) - _NAMED} more" if len(foreign) > _NAMED else ""
        raise Refused(
            f"{folder} was not made by Homeport and is not empty: it has {names}{more}; name a new "
            f"or empty folder with {self.flag}. If this one is meant, and may be closed to others: "
            f"touch {shlex.quote(str(folder / MARKER))}"
        )


def is_marked(folder: Path) -> bool:
    """Whether a folder has the marker, as a file of ours."""
    try:
        found = os.lstat(folder / MARKER)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def _is(path: Path, beginning: bytes | None) -> bool:
    try:
        found = os.lstat(path)
        if beginning is None:
            return stat.S_ISDIR(found.st_mode)
        if not stat.S_ISREG(found.st_mode):
            return False
        with path.open("rb") as file:
            return file.read(len(beginning)) == beginning
    except (FileNotFoundError, NotADirectoryError):
        return False
