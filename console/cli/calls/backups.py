"""What `homeport backup` and `homeport restore` do with the stores."""

from __future__ import annotations

import asyncio
import getpass
import secrets
import time
from pathlib import Path
from typing import Any

from control_plane.audit.auditing import new_entry_id
from control_plane.errors import FaultyFile
from control_plane.printable import why_unreadable
from provisioner.backup.backup_file import About
from provisioner.backup.store_files import backup_store, restore_store
from provisioner.settings import Settings

MOST_NAMED = 20  # damaged records in a document


def backup(settings: Settings, file: Path) -> dict[str, Any]:
    """What was taken, as a document. Raises ServiceError."""
    try:
        about = asyncio.run(
            backup_store(settings.store, file, access=settings.store_access(), wall=time.time)
        )
    except OSError as error:
        raise FaultyFile("file", f"{file} cannot be written: {why_unreadable(error)}") from error
    return {"file": str(file), **_told(about)}


def restore(settings: Settings, file: Path) -> dict[str, Any]:
    """What was put into the store, as a document. Raises ServiceError."""
    try:
        about, done = asyncio.run(
            restore_store(
                file,
                settings.store,
                access=settings.store_access(),
                operator=getpass.getuser(),
                wrapping=settings.wrapping(secrets.token_bytes),
                wall=time.time,
                random=secrets.token_bytes,
                new_id=new_entry_id,
            )
        )
    except OSError as error:
        where = error.filename or file
        raise FaultyFile("file", f"{where} cannot be used: {why_unreadable(error)}") from error
    return {
        "file": str(file),
        **_told(about),
        "written": done.keys,
        "clients": done.clients,
        "new_ticket_keys": done.ring,
        "damaged": len(done.damaged),
        "damaged_keys": done.damaged[:MOST_NAMED],
    }


def _told(about: About) -> dict[str, Any]:
    return {
        "store": about.store,
        "cluster": about.cluster,
        "revision": about.revision,
        "taken_ms": about.taken_ms,
        "keys": about.pairs,
        "left_out": about.left_out,
        "digest": about.digest,
    }
