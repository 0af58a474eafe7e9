"""Text of files that a command names."""

from __future__ import annotations

from pathlib import Path

from console.cli.failure import CommandFailed, ExitCode


def read_text(path: Path) -> str:
    """What the file holds, UTF-8. Raises CommandFailed."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path} cannot be read: {error}", ExitCode.USAGE) from error
