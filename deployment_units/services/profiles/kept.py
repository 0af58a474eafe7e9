"""The profile of an account as its unit keeps it: its part of the database."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from control_plane.errors import NotFound, Refused
from control_plane.identifiers.identifier import Identifier, IdentifierKind
from control_plane.printable import quoted
from control_plane.sqlite.schema import Schema
from deployment_units.services.profiles import kept_names
from deployment_units.services.profiles.names import NO_NAME
from deployment_units.services.profiles.profile import (
    MAX_IDENTIFIERS,
    OPEN_AT_FIRST,
    Audience,
    Mode,
    Profile,
    ProfileIdentifier,
)
from deployment_units.services.state.parts import Part, Table

EVERYONE, CONTACTS, ACCOUNT, NOBODY = "everyone", "contacts", "account", "nobody"
_NAME, _PREFERRED = "name", "preferred"


class DisclosureRow(msgspec.Struct, array_like=True, frozen=True):
    """An identifier is open to one audience. account: with ACCOUNT, which."""

    uri: str
    audience: str
    account: str


class HandleRow(msgspec.Struct, array_like=True, frozen=True):
    """A handle that the account has or had. state: a NameState; since_ms: when it was taken;
    until_ms: the end of its quarantine."""

    handle: str
    state: str
    since_ms: int | None
    until_ms: int | None


class IdentifierRow(msgspec.Struct, array_like=True, frozen=True):
    """proved_ms: Unix ms; None: nobody has. state: a NameState; until_ms: the end of a contest."""

    uri: str
    kind: str
    shown: str
    label: str
    proved_ms: int | None
    state: str
    until_ms: int | None
    findable: int


class NameCheckRow(msgspec.Struct, array_like=True, frozen=True):
    """When the directory is to be asked of the account's names, and was last; Unix ms."""

    what: str
    due_ms: int
    asked_ms: int | None


class PreferenceRow(msgspec.Struct, array_like=True, frozen=True):
    """name: `name`, or `preferred`: modes, by comma, the best first."""

    name: str
    value: str


class ReachabilityRow(msgspec.Struct, array_like=True, frozen=True):
    """The account is open by a mode to one audience; NOBODY says that its owner chose so."""

    mode: str
    audience: str
    account: str


def _with_names(table: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
    """Version 1 knew of no claims: nothing was proved in it."""
    return [(table, [*values, "", None, 0] if table == "identifiers" else values)]


def _as_it_is(table: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
    return [(table, values)]


PART = Part(
    schema=Schema(
        part="profiles",
        steps=(
            (
                "CREATE TABLE disclosures (owner INTEGER NOT NULL, uri TEXT NOT NULL,"
                " audience TEXT NOT NULL, account TEXT NOT NULL,"
                " PRIMARY KEY (owner, uri, audience, account)) WITHOUT ROWID",
                "CREATE TABLE identifiers (owner INTEGER NOT NULL, uri TEXT NOT NULL,"
                " kind TEXT NOT NULL, shown TEXT NOT NULL, label TEXT NOT NULL, proved_ms INTEGER,"
                " PRIMARY KEY (owner, uri)) WITHOUT ROWID",
                "CREATE TABLE preferences (owner INTEGER NOT NULL, name TEXT NOT NULL,"
                " value TEXT NOT NULL, PRIMARY KEY (owner, name)) WITHOUT ROWID",
                "CREATE TABLE reachabilities (owner INTEGER NOT NULL, mode TEXT NOT NULL,"
                " audience TEXT NOT NULL, account TEXT NOT NULL,"
                " PRIMARY KEY (owner, mode, audience, account)) WITHOUT ROWID",
            ),
            (
                "CREATE TABLE handles (owner INTEGER NOT NULL, handle TEXT NOT NULL,"
                " state TEXT NOT NULL, since_ms INTEGER, until_ms INTEGER,"
                " PRIMARY KEY (owner, handle)) WITHOUT ROWID",
                "ALTER TABLE identifiers ADD COLUMN state TEXT NOT NULL DEFAULT ''",
                "ALTER TABLE identifiers ADD COLUMN until_ms INTEGER",
                "ALTER TABLE identifiers ADD COLUMN findable INTEGER NOT NULL DEFAULT 0",
                "CREATE TABLE name_checks (owner INTEGER NOT NULL, what TEXT NOT NULL,"
                " due_ms INTEGER NOT NULL, asked_ms INTEGER,"
                " PRIMARY KEY (owner, what)) WITHOUT ROWID",
                "CREATE INDEX name_checks_due ON name_checks (due_ms)",
            ),
            ("CREATE INDEX handles_handle ON handles (handle)",),  # mail comes to them
        ),
    ),
    tables=(
        Table(name="disclosures", row=DisclosureRow, key=3),
        Table(name="handles", row=HandleRow, key=1),
        Table(name="identifiers", row=IdentifierRow, key=1),
        Table(name="name_checks", row=NameCheckRow, key=1),
        Table(name="preferences", row=PreferenceRow, key=1),
        Table(name="reachabilities", row=ReachabilityRow, key=3),
    ),
    upgrades=(_with_names, _as_it_is),
)


class TooManyIdentifiers(Refused):
    """The account has as many as it may."""

    reason = "TOO_MANY_IDENTIFIERS"


def read(db: sqlite3.Connection, owner: int, account: str) -> Profile:
    """The owner's profile; of one that keeps none, an empty one."""
    disclosed = _audiences(
        db.execute("SELECT uri, audience, account FROM disclosures WHERE owner = ?", (owner,))
    )
    open_to = _audiences(
        db.execute("SELECT mode, audience, account FROM reachabilities WHERE owner = ?", (owner,))
    )
    preferences = dict(
        db.execute("SELECT name, value FROM preferences WHERE owner = ?", (owner,)).fetchall()
    )
    identifiers = db.execute(
        "SELECT uri, kind, shown, label, proved_ms FROM identifiers WHERE owner = ? ORDER BY uri",
        (owner,),
    )
    names = kept_names.identifiers(db, owner)
    return Profile(
        account=account,
        name=preferences.get(_NAME, ""),
        identifiers=tuple(
            ProfileIdentifier(
                kind=IdentifierKind(kind),
                uri=uri,
                shown=shown,
                label=label,
                proved=proved_ms is not None,
                disclosed_to=disclosed.get(uri, Audience()),
                name=names.get(uri, NO_NAME),
            )
            for uri, kind, shown, label, proved_ms in identifiers
        ),
        preferred=tuple(Mode(mode) for mode in preferences.get(_PREFERRED, "").split(",") if mode),
        open_to={Mode(mode): audience for mode, audience in open_to.items()},
        handles=kept_names.handles(db, owner),
        asked_ms=kept_names.asked_at(db, owner),
    )


def name_of(db: sqlite3.Connection, owner: int) -> str:
    """What the account calls itself; empty: it has not said."""
    row = db.execute(
        "SELECT value FROM preferences WHERE owner = ? AND name = ?", (owner, _NAME)
    ).fetchone()
    return row[0] if row else ""


def has_proved(db: sqlite3.Connection, owner: int) -> bool:
    """Whether the account has proved any identifier."""
    found = db.execute(
        "SELECT 1 FROM identifiers WHERE owner = ? AND proved_ms IS NOT NULL LIMIT 1", (owner,)
    ).fetchone()
    return found is not None


def may_reach(db: sqlite3.Connection, owner: int, mode: Mode) -> Audience:
    """Who may reach the owner by a mode."""
    return chosen(db, owner, mode) or OPEN_AT_FIRST[mode]


def chosen(db: sqlite3.Connection, owner: int, mode: Mode) -> Audience | None:
    """Who may reach the owner by a mode, as the owner said; None: it has not."""
    rows = db.execute(
        "SELECT mode, audience, account FROM reachabilities WHERE owner = ? AND mode = ?",
        (owner, mode.value),
    ).fetchall()
    return _audiences(rows)[mode] if rows else None


def set_name(db: sqlite3.Connection, owner: int, name: str) -> None:
    """Empty: it has none."""
    _prefer(db, owner, _NAME, name)


def set_preferred(db: sqlite3.Connection, owner: int, modes: Sequence[Mode]) -> None:
    """The best first; none: no preference."""
    _prefer(db, owner, _PREFERRED, ",".join(modes))


def add_identifier(db: sqlite3.Connection, owner: int, identifier: Identifier, label: str) -> None:
    """Not proved, and disclosed to nobody; of one that is there only its label changes, and how it
    is shown. Raises TooManyIdentifiers."""
    db.execute(
        "INSERT INTO identifiers (owner, uri, kind, shown, label) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET shown = excluded.shown, label = excluded.label",
        (owner, identifier.uri, identifier.kind, identifier.shown, label),
    )
    (count,) = db.execute("SELECT count(*) FROM identifiers WHERE owner = ?", (owner,)).fetchone()
    if count > MAX_IDENTIFIERS:
        raise TooManyIdentifiers(
            f"an account has at most {MAX_IDENTIFIERS} identifiers; remove one first"
        )


def remove_identifier(db: sqlite3.Connection, owner: int, uri: str) -> None:
    """With its disclosure."""
    db.execute("DELETE FROM identifiers WHERE owner = ? AND uri = ?", (owner, uri))
    db.execute("DELETE FROM disclosures WHERE owner = ? AND uri = ?", (owner, uri))


def take_back(db: sqlite3.Connection, owner: int, uri: str) -> None:
    """Removes an identifier that was added for a code alone, unless its owner has done more with it
    meanwhile."""
    db.execute(
        "DELETE FROM identifiers WHERE owner = ? AND uri = ? AND state = 'begun' AND label = ''"
        " AND NOT EXISTS (SELECT 1 FROM disclosures AS shown"
        " WHERE shown.owner = identifiers.owner AND shown.uri = identifiers.uri)",
        (owner, uri),
    )


def set_disclosure(db: sqlite3.Connection, owner: int, uri: str, audience: Audience) -> None:
    """Instead of the one before. Raises NotFound."""
    found = db.execute(
        "SELECT 1 FROM identifiers WHERE owner = ? AND uri = ?", (owner, uri)
    ).fetchone()
    if found is None:
        raise NotFound(f"the account has no identifier {quoted(uri)}; add it first")
    db.execute("DELETE FROM disclosures WHERE owner = ? AND uri = ?", (owner, uri))
    db.executemany(
        "INSERT INTO disclosures (owner, uri, audience, account) VALUES (?, ?, ?, ?)",
        [(owner, uri, *row) for row in _rows(audience)],
    )


def set_reachability(db: sqlite3.Connection, owner: int, mode: Mode, audience: Audience) -> None:
    """Instead of the one before."""
    db.execute("DELETE FROM reachabilities WHERE owner = ? AND mode = ?", (owner, mode))
    db.executemany(
        "INSERT INTO reachabilities (owner, mode, audience, account) VALUES (?, ?, ?, ?)",
        [(owner, mode, *row) for row in _rows(audience) or [(NOBODY, "")]],
    )


def _prefer(db: sqlite3.Connection, owner: int, name: str, value: str) -> None:
    if value:
        db.execute(
            "INSERT INTO preferences (owner, name, value) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET value = excluded.value",
            (owner, name, value),
        )
    else:
        db.execute("DELETE FROM preferences WHERE owner = ? AND name = ?", (owner, name))


def _rows(audience: Audience) -> list[tuple[str, str]]:
    rows = [(EVERYONE, "")] if audience.everyone else []
    rows += [(CONTACTS, "")] if audience.contacts else []
    return rows + [(ACCOUNT, account) for account in sorted(audience.accounts)]


def _audiences(rows: Iterable[tuple[str, str, str]]) -> dict[str, Audience]:
    """By what is open to them."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for what, audience, account in rows:
        found[what].append((audience, account))
    return {
        what: Audience(
            everyone=(EVERYONE, "") in one,
            contacts=(CONTACTS, "") in one,
            accounts=frozenset(account for audience, account in one if audience == ACCOUNT),
        )
        for what, one in found.items()
    }
