"""Text of files that a command names."""

from __future__ import annotations

from pathlib import Path

from console.cli.failure import CommandFailed, ExitCode
from control_plane.printable import why_unreadable


def read_text(path: Path) -> str:
    """What the file holds, UTF-8. Raises CommandFailed."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(
            f"{path} cannot be read: {why_unreadable(error)}", ExitCode.USAGE
        ) from error
