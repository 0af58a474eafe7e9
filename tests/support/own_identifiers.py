"""Identifiers and handles of accounts of a unit, as if they had been proved and claimed."""

from __future__ import annotations

import sqlite3

from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_uri
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.profiles import kept as profiles
from tests.support.account_units import TENANT, AccountUnit


async def furnish(
    unit: AccountUnit, account: str, *uris: str, proved: bool = True, epoch: int = 1
) -> None:
    """Gives an account handles, with their '@', and identifiers, by their URIs."""

    def write(db: sqlite3.Connection, owner: int) -> None:
        for uri in uris:
            if uri.startswith("@"):
                db.execute(
                    "INSERT INTO handles (owner, handle, state, since_ms) VALUES (?, ?, ?, 1)",
                    (owner, uri[1:], "held" if proved else "lost"),
                )
                continue
            identifier = read_uri(uri)
            assert isinstance(identifier, Identifier)
            profiles.add_identifier(db, owner, identifier, "")
            if proved:
                db.execute(
                    "UPDATE identifiers SET proved_ms = 1, state = 'held'"
                    " WHERE owner = ? AND uri = ?",
                    (owner, uri),
                )

    resident = Resident(tenant=TENANT, account=account, epoch=epoch)
    await unit.accounts.change(resident, write)
