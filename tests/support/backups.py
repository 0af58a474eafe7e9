"""A store under a ledger, backed up and restored by tests."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from pathlib import Path

from control_plane.identity.key_wrapping import NoWrapping, Wrapping
from control_plane.store.opening import EtcdAccess
from provisioner.backup.backup_file import About
from provisioner.backup.restoring import Restored
from provisioner.backup.store_files import restore_store

NOW = 1_800_000_000.0
_numbers = itertools.count()


async def put_back(
    file: Path,
    url: str,
    *,
    wall: Callable[[], float] = lambda: NOW,
    wrapping: Wrapping | None = None,
) -> tuple[About, Restored]:
    """`homeport restore store`, at a time of the test's own."""
    return await restore_store(
        file,
        url,
        access=EtcdAccess(),
        operator="ops",
        wrapping=wrapping or NoWrapping(),
        wall=wall,
        random=secrets.token_bytes,
        new_id=lambda: f"id-{next(_numbers)}",
    )
