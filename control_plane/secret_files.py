"""Secret files: a token, password or key in a file, instead of in arguments that everybody on the
machine can list."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from control_plane.errors import InvalidInput
from control_plane.printable import why_unreadable

MOST_BYTES = 64 * 1024


def read_secret(setting: str, path: Path) -> str:
    """The one line of a file, without the end of the line. Raises InvalidInput that names the
    setting and the file: where it cannot be read, is open to everybody, or holds something else.

    A group may read it: that is how secrets are handed to containers."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if stat.S_ISREG(found.st_mode) and found.st_mode & 0o007:
                raise InvalidInput(
                    setting,
                    f"{setting}: {path} can be read by everybody (mode "
                    f"{stat.S_IMODE(found.st_mode):o}); run `chmod 600 {path}`",
                )
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInput(
            setting, f"{setting}: {path} cannot be read: {why_unreadable(error)}"
        ) from error
    try:
        secret = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        secret = ""
    if len(content) > MOST_BYTES or not secret or not secret.isprintable():
        raise InvalidInput(
            setting, f"{setting}: {path} must hold the secret as one line of text, nothing else"
        )
    return secret


def visible_secret_warning(option: str, variable: str, file_option: str) -> str:
    """What to say where a secret was given as an argument."""
    return (
        f"{option} can be read by everybody who lists this machine's processes; give it by "
        f"{variable} or by {file_option} FILE"
    )
