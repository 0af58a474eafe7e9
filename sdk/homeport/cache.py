"""AssignmentCache: the last known assignments, as files on this machine's disk.

One JSON file per (servers, tenant, client), readable by its owner alone, replaced in one
step (written aside, synced, renamed), so that a reader sees a whole file or none. A file
that is damaged, could be somebody else's or describes another client counts as absent. The
cache never fails a call: what cannot be read counts as absent, what cannot be written is logged.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from homeport.private_files import private_folder, read_own
from homeport.values import Assignment, LocationSource

FORMAT = 1

log = logging.getLogger("homeport")

_TEXTS = ("tenant", "client_id", "unit_id", "endpoint", "ticket", "source", "country", "rule")
_NUMBERS = ("ticket_expires_at", "assigned_at", "distance_km")


class AssignmentCache:
    """Safe to share between threads and processes: every write replaces a whole file."""

    def __init__(self, folder: str | os.PathLike[str], servers: Iterable[str]) -> None:
        """The folder is made at the first write, with mode 0700. `servers` keeps the
        assignments of different Homeports apart; their order means nothing."""
        self.folder = Path(folder).expanduser()
        self._servers = sorted(servers)

    def path(self, tenant: str, client_id: str) -> Path:
        """Where the assignment of one client is, or would be."""
        name = json.dumps([self._servers, tenant, client_id]).encode()
        return self.folder / f"{hashlib.sha256(name).hexdigest()[:40]}.json"

    def get(self, tenant: str, client_id: str) -> Assignment | None:
        """The assignment as it was put, whatever its age; None: there is none."""
        path = self.path(tenant, client_id)
        try:
            assignment = _decode(read_own(path))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("the cached assignment %s is not used: %s", path, error)
            return None
        if (assignment.tenant, assignment.client_id) != (tenant, client_id):
            log.warning("the cached assignment %s is not used: it is another client's", path)
            return None
        return assignment

    def put(self, assignment: Assignment) -> None:
        """Durable once this returns, unless the disk does not take it."""
        path = self.path(assignment.tenant, assignment.client_id)
        try:
            private_folder(self.folder)
            _replace(path, _encode(assignment))
        except OSError as error:
            log.warning("the assignment is not cached in %s: %s", self.folder, error)

    def delete(self, tenant: str, client_id: str) -> None:
        """Deletes the assignment. Idempotent."""
        path = self.path(tenant, client_id)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("the cached assignment %s could not be deleted: %s", path, error)


def user_cache_dir() -> Path:
    """A folder for `cache_dir=`: $XDG_CACHE_HOME/homeport, or ~/.cache/homeport."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "homeport"


def _replace(path: Path, content: bytes) -> None:
    handle, aside = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:  # whatever it was, no temporary file is left behind
        with suppress(OSError):
            os.unlink(aside)
        raise


def _encode(assignment: Assignment) -> bytes:
    fields: dict[str, Any] = {"format": FORMAT, "epoch": assignment.epoch}
    for name in _TEXTS + _NUMBERS:
        fields[name] = getattr(assignment, name)
    return json.dumps(fields, indent=1).encode() + b"\n"


def _decode(content: bytes) -> Assignment:
    """Raises ValueError for anything that `_encode` would not have written."""
    try:
        fields = json.loads(content)
    except RecursionError:
        raise ValueError("not an assignment") from None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise ValueError(f"not an assignment in format {FORMAT}")
    texts = {name: fields.get(name) for name in _TEXTS}
    numbers = {name: fields.get(name) for name in _NUMBERS}
    epoch = fields.get("epoch")
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("a text is missing")
    if type(epoch) is not int or epoch < 0:
        raise ValueError("the epoch is missing")
    for name, number in numbers.items():
        if number is not None and (type(number) not in (int, float) or not _fits(number)):
            raise ValueError(f"{name} is not a number")
    if not texts["ticket"] or numbers["ticket_expires_at"] is None:
        raise ValueError("the ticket is missing")
    known: dict[str, Any] = texts | numbers | {"source": LocationSource(fields["source"])}
    return Assignment(**known, epoch=epoch, existing=True)


def _fits(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an int beyond any float
        return False
