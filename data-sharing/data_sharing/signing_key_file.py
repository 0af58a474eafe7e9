"""The file of the decision service's signing key: 32 bytes in base64, wrapped where there is a
wrapping key, for its owner alone.

Made where there is none, whole or not at all, and never over one that is there. One that was kept
without the wrapping key, or with an earlier one, is written again with this.
"""

from __future__ import annotations

import base64
import logging
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from control_plane.errors import InvalidInput
from control_plane.files import replace_file, sync_folder
from control_plane.identity.key_wrapping import NoWrapping, Wrapping
from control_plane.printable import why_failed
from control_plane.private_files import FILE_MODE
from data_sharing.signing import KEY_BYTES, SigningKey

MOST_BYTES = 4_096
FIELD = "signing_key"

log = logging.getLogger(__name__)


def key_of_file(
    path: Path, wrapping: Wrapping | None = None, *, random: Callable[[int], bytes]
) -> SigningKey:
    """The key that a file keeps, made where there is none yet; only its owner may read it. random:
    n bytes from a cryptographic source. wrapping None: kept as it is. Raises InvalidInput that says
    what is wrong with the file, or with the wrapping key."""
    wrapping = wrapping or NoWrapping()
    if not path.exists():
        seed = base64.b64encode(random(KEY_BYTES)) + b"\n"
        try:
            _make(path, wrapping.wrap(seed))
        except OSError as error:
            raise InvalidInput(FIELD, f"{path} cannot be made: {why_failed(error)}") from error
    kept, opened, key = _opened(path, wrapping)
    if not wrapping.is_current(kept):
        _wrap_again(path, wrapping.wrap(opened))
    return key


def read_key(path: Path, wrapping: Wrapping) -> SigningKey:
    """The key of a file that is there; nothing is written. Raises InvalidInput as key_of_file."""
    return _opened(path, wrapping)[2]


def _opened(path: Path, wrapping: Wrapping) -> tuple[bytes, bytes, SigningKey]:
    """What stands there, without its wrapping, and the key that it is. Raises InvalidInput."""
    kept = _read(path)
    opened = wrapping.unwrap(kept, str(path))
    try:
        seed = base64.b64decode(opened.strip(), validate=True)
    except ValueError:
        seed = b""
    if len(seed) != KEY_BYTES:
        raise InvalidInput(
            FIELD, f"{path} is not a key: it must hold 32 bytes in base64; "
            "remove it to have a new one made, which every platform must then learn"
        )  # fmt: skip
    return kept, opened, SigningKey.of(seed)


def _make(path: Path, content: bytes) -> None:
    """Leaves what is there by then. Raises OSError."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    replace_file(aside, content, durable=True, mode=FILE_MODE)
    try:
        os.link(aside, path)  # unlike a rename, never over the key that another has made
    except FileExistsError:
        return
    except OSError:  # a file system without links
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)


def _read(path: Path) -> bytes:
    """Raises InvalidInput."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInput(FIELD, f"{path} cannot be read: {why_failed(error)}") from error
    if mode & 0o027:  # a group may read: so secrets are handed to containers
        raise InvalidInput(
            FIELD, f"{path} can be read by others (mode {mode:o}); run `chmod 600 {path}`"
        )
    return content


def _wrap_again(path: Path, content: bytes) -> None:
    try:
        replace_file(path, content, durable=True, mode=FILE_MODE)
    except OSError as error:  # of a folder that is only read, as secrets are handed to containers
        log.warning("%s could not be wrapped and stays as it was: %s", path, why_failed(error))
    else:
        log.info("%s is wrapped with the wrapping key from now on", path)
