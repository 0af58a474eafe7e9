"""Ready files: how a process says in JSON that it serves, and where, for as long as it does.

A file names its process by pid and start, so that one which was killed, and left its file behind,
is not taken for another that has its number now. Who starts removes what an earlier run left, who
ends removes its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from control_plane.files import replace_file
from control_plane.private_files import FILE_MODE, private_folder
from control_plane.service_manager import READY, notify


def write_ready_file(
    path: Path | None,
    content: Mapping[str, object],
    *,
    indent: int | None = None,
    serves: bool = True,
) -> None:
    """Says that this process serves, and where; nothing where no file is asked for. `pid` and
    `started` are added: the process, and when it began as proc(5) has it, in clock ticks since
    boot, null where the system does not tell. Readers, who must be the same user, see all of it or
    nothing. The service manager is told in any case, unless this process starts yet and only says
    so (serves)."""
    if serves:
        notify(READY)
    if path is None:
        return
    pid = os.getpid()
    named = {**content, "pid": pid, "started": started(pid)}
    private_folder(path.parent)
    replace_file(path, (json.dumps(named, indent=indent) + "\n").encode(), mode=FILE_MODE)


def read_ready_file(path: Path) -> dict[str, Any] | None:
    """What a process says that still runs; None: there is none. One that does not name itself
    is believed."""
    content = _content(path)
    if content is None:
        return None
    pid = content.get("pid")
    return content if pid is None or _runs(pid, content.get("started")) else None


def ready_file_fault(path: Path) -> str:
    """What to add to a message that a program does not serve: that its ready file is there and is
    none. Empty where it is not there."""
    if not path.exists() or _content(path) is not None:
        return ""
    return f"; its ready file, {path}, is half written: {path.stat().st_size} bytes, no JSON object"


def _content(path: Path) -> dict[str, Any] | None:
    """What stands in it; None: nothing, or it is not whole. Ours always are; one that was copied,
    or written by another program, may be read in the middle of that."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def clear_ready_file(path: Path | None) -> None:
    """Removes the file of a process that is gone, or of this one; another's stays."""
    if path is None:
        return
    content = read_ready_file(path)
    if content is None or content.get("pid") in (None, os.getpid()):
        path.unlink(missing_ok=True)


def started(pid: int) -> int | None:
    """When a process began, in clock ticks since boot (proc(5), field 22); None: not known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        return int(stat.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _runs(pid: object, began: object) -> bool:
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return isinstance(pid, int) and pid < 1 << 31
    return began is None or started(pid) == began
