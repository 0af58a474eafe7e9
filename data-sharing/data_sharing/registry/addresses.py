"""Addresses: which account of a tenant's directory answers for an application.

An account is what people write to; the unit where it is at home is the application's agent, and
reads here for whom it acts. So an operator of the tenant says it, and nobody who only has the
account or wrote the application. An application has one account, and an account one application.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from control_plane.errors import AlreadyExists
from control_plane.sqlite.schema import Schema
from data_sharing.database import Database
from data_sharing.registry.registry import Registry

SCHEMA = Schema(
    part="addresses",
    steps=(
        (
            """CREATE TABLE addresses (
                 tenant TEXT NOT NULL, application TEXT NOT NULL, account TEXT NOT NULL,
                 since_ms INTEGER NOT NULL, PRIMARY KEY (tenant, application)
               ) WITHOUT ROWID""",
            "CREATE UNIQUE INDEX addresses_account ON addresses (tenant, account)",
        ),
    ),
)


class AccountTaken(AlreadyExists):
    """The account answers for another application."""

    reason = "ACCOUNT_TAKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """account: the client_id of its assignment; since_ms: Unix ms."""

    application: str
    account: str
    since_ms: int


class Addresses:
    """Of all tenants of one server. wall_ms: Unix ms."""

    def __init__(
        self, database: Database, registry: Registry, *, wall_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._registry = registry
        self._wall_ms = wall_ms

    async def put(self, tenant: str, application: str, account: str) -> Address:
        """Says which account answers for an application from now on; what is said already stays as
        it is. Raises NotFound where there is no such application, AccountTaken; StoreUnavailable,
        OutcomeUnknown."""
        self._registry.version(tenant, application)
        return await self._database.transact(lambda db: self._put(db, tenant, application, account))

    def _put(self, db: sqlite3.Connection, tenant: str, application: str, account: str) -> Address:
        taken = db.execute(
            "SELECT application FROM addresses WHERE tenant = ? AND account = ?", (tenant, account)
        ).fetchone()
        if taken is not None and taken[0] != application:
            raise AccountTaken(
                f"the account {account} answers for {taken[0]}; take that address away first"
            )
        db.execute(
            "INSERT INTO addresses VALUES (?, ?, ?, ?) ON CONFLICT (tenant, application)"
            " DO UPDATE SET account = excluded.account, since_ms = excluded.since_ms"
            " WHERE account <> excluded.account",
            (tenant, application, account, self._wall_ms()),
        )
        found = _address(db, tenant, application)
        assert found is not None
        return found

    async def remove(self, tenant: str, application: str) -> bool:
        """Whether there was one to take away. Raises StoreUnavailable, OutcomeUnknown."""

        def remove(db: sqlite3.Connection) -> bool:
            gone = db.execute(
                "DELETE FROM addresses WHERE tenant = ? AND application = ?", (tenant, application)
            )
            return gone.rowcount > 0

        return await self._database.transact(remove)

    def of(self, tenant: str, application: str) -> Address | None:
        """None: nobody answers for it."""
        return self._database.read(lambda db: _address(db, tenant, application))

    def all_of(self, tenant: str) -> list[Address]:
        """By application."""

        def read(db: sqlite3.Connection) -> list[Address]:
            rows = db.execute(
                "SELECT application, account, since_ms FROM addresses WHERE tenant = ?"
                " ORDER BY application",
                (tenant,),
            )
            return [_of_row(row) for row in rows]

        return self._database.read(read)


def _address(db: sqlite3.Connection, tenant: str, application: str) -> Address | None:
    row = db.execute(
        "SELECT application, account, since_ms FROM addresses WHERE tenant = ? AND application = ?",
        (tenant, application),
    ).fetchone()
    return _of_row(row) if row else None


def _of_row(row: tuple[str, str, int]) -> Address:
    application, account, since_ms = row
    return Address(application=application, account=account, since_ms=since_ms)
