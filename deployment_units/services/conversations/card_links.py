"""Card links: the keys of an account's action tokens, which the links behind buttons in its mail
carry: a part of an account's rows.

They move with the account, so a link that it was sent opens wherever it lives by then. A unit also
remembers the keys of links that it made itself, until the last of them expires: so it knows a link
as one of its own after the account has moved, and can say where to, and to nobody else. Functions
of a connection, for works of the engine.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

from control_plane.sqlite.schema import Schema
from deployment_units.services.cards.action_tokens import TokenKey
from deployment_units.services.state.owners import Owner
from deployment_units.services.state.parts import Part, Table

FIRST = 1
_FORGOTTEN_AT_ONCE = 16


class CardKeyRow(msgspec.Struct, array_like=True, frozen=True):
    """See TokenKey."""

    number: int
    secret: bytes


PART = Part(
    schema=Schema(
        part="card_links",
        steps=(
            (
                "CREATE TABLE card_keys (owner INTEGER NOT NULL, number INTEGER NOT NULL,"
                " secret BLOB NOT NULL, PRIMARY KEY (owner, number)) WITHOUT ROWID",
                # The unit's own memory: of no owner, and never handed over.
                "CREATE TABLE card_links_made (tenant TEXT NOT NULL, account TEXT NOT NULL,"
                " number INTEGER NOT NULL, secret BLOB NOT NULL, until_ms INTEGER NOT NULL,"
                " PRIMARY KEY (tenant, account, number)) WITHOUT ROWID",
                "CREATE INDEX card_links_over ON card_links_made (until_ms)",
            ),
        ),
    ),
    tables=(Table(name="card_keys", row=CardKeyRow, key=1),),
)


def key_for_links(
    db: sqlite3.Connection,
    owner: Owner,
    *,
    now_ms: int,
    until_ms: int,
    new_key: Callable[[], bytes],
) -> TokenKey:
    """The key for links that are good until then, Unix ms. new_key: 32 random bytes, where the
    account has none yet."""
    row = db.execute(
        "SELECT number, secret FROM card_keys WHERE owner = ? ORDER BY number DESC LIMIT 1",
        (owner.number,),
    ).fetchone()
    number, secret = row or (FIRST, new_key())
    if row is None:
        db.execute(
            "INSERT INTO card_keys (owner, number, secret) VALUES (?, ?, ?)",
            (owner.number, number, secret),
        )
    db.execute(
        "DELETE FROM card_links_made WHERE (tenant, account, number) IN (SELECT tenant, account,"
        " number FROM card_links_made WHERE until_ms <= ? ORDER BY until_ms LIMIT ?)",
        (now_ms, _FORGOTTEN_AT_ONCE),
    )
    db.execute(
        "INSERT INTO card_links_made (tenant, account, number, secret, until_ms)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET secret = excluded.secret,"
        " until_ms = max(until_ms, excluded.until_ms)",
        (owner.tenant, owner.account, number, secret, until_ms),
    )
    return TokenKey(number=number, secret=secret)


def keys_of_links(db: sqlite3.Connection, tenant: str, account: str) -> list[TokenKey]:
    """Those of an account that lives here, or is leaving; of another one those of links that were
    made here. None: nothing of it is known."""
    rows = db.execute(
        "SELECT k.number, k.secret FROM card_keys k JOIN owners o ON o.owner = k.owner"
        " WHERE o.tenant = ? AND o.account = ? AND o.state IN ('live', 'leaving')",
        (tenant, account),
    ).fetchall()
    if not rows:
        rows = db.execute(
            "SELECT number, secret FROM card_links_made WHERE tenant = ? AND account = ?",
            (tenant, account),
        ).fetchall()
    return [TokenKey(number=number, secret=secret) for number, secret in rows]
