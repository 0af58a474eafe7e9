"""Rules of accounts, as their units keep them: one document each, with a revision; and compiled,
those that were used last.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from control_plane.errors import Conflict, InvalidInput
from control_plane.printable import why_unreadable
from deployment_units.services.gateway.documents import AccountReaching, reaching_of

MOST_DOCUMENT_BYTES = 64 << 10
MOST_COMPILED = 1_000
MOST_COMPILED_CHARACTERS = 512 << 10  # of documents; compiled they take a hundred times as much


class KeptRules(NamedTuple):
    """revision: 0: there are none. document: JSON."""

    revision: int
    document: str


NONE = KeptRules(0, "{}")


def find(db: sqlite3.Connection, owner: int) -> KeptRules:
    """An account's own."""
    row = db.execute(
        "SELECT revision, document FROM rules WHERE owner = ? ORDER BY revision DESC LIMIT 1",
        (owner,),
    ).fetchone()
    return KeptRules(*row) if row else NONE


def apply(db: sqlite3.Connection, owner: int, document: str, *, revision: int) -> KeptRules:
    """Replaces them. revision: of those that are replaced. Raises Conflict where others stand
    there; the same document again is no change."""
    before = find(db, owner)
    if before.document == document and revision in (before.revision, before.revision - 1):
        return before
    if before.revision != revision:
        raise Conflict(
            f"the rules are of revision {before.revision} by now; read them, and change those"
        )
    db.execute("DELETE FROM rules WHERE owner = ?", (owner,))
    db.execute(
        "INSERT INTO rules (owner, revision, document) VALUES (?, ?, ?)",
        (owner, revision + 1, document),
    )
    return KeptRules(revision + 1, document)


def compiled_of(document: str) -> AccountReaching:
    """Raises InvalidInput."""
    size = len(document.encode())
    if size > MOST_DOCUMENT_BYTES:
        raise InvalidInput(
            "document", f"the document has {size} bytes; at most {MOST_DOCUMENT_BYTES} are allowed"
        )
    try:
        return reaching_of(msgspec.json.decode(document))
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(
            "document", f"the document is no JSON that can be read: {why_unreadable(error)}"
        ) from error


class CompiledRules:
    """By their documents; use from one event loop. most: documents; most_characters: of them
    together, but for the one that was used last; compile: see compiled_of."""

    def __init__(
        self,
        *,
        most: int = MOST_COMPILED,
        most_characters: int = MOST_COMPILED_CHARACTERS,
        compile: Callable[[str], AccountReaching] = compiled_of,
    ) -> None:
        self._compile = compile
        self._most = most
        self._most_characters = most_characters
        self._characters = 0
        self._known: OrderedDict[str, AccountReaching] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def is_ready(self, document: str) -> bool:
        """Whether it is known."""
        return document in self._known

    async def prepare(self, document: str) -> None:
        """Compiles it apart from the event loop, where it is not known: that takes a tenth of a
        second for a large one. Raises InvalidInput."""
        if document not in self._known:
            self._keep(document, await asyncio.to_thread(self._compile, document))

    def of(self, document: str) -> AccountReaching:
        """Of a document that was checked when it was applied. Raises InvalidInput where this
        Homeport reads it no more."""
        found = self._known.get(document)
        if found is None:
            found = self._compile(document)
            self._keep(document, found)
        self._known.move_to_end(document)
        return found

    def _keep(self, document: str, compiled: AccountReaching) -> None:
        if document not in self._known:
            self._characters += len(document)
        self._known[document] = compiled
        while len(self._known) > 1 and (
            len(self._known) > self._most or self._characters > self._most_characters
        ):
            oldest, _ = self._known.popitem(last=False)
            self._characters -= len(oldest)
