"""ConsentCache: consents of users, as the running transaction sees them.

Read when a user's event is first decided, kept until they change; what an undone transaction made
of them is forgotten with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from data_sharing.decisions import sharing_tables
from data_sharing.sharing.consent import Consent

MOST_SUBJECTS = 50_000


class ConsentCache:
    """The port through which a worker's rules look for consents."""

    def __init__(self) -> None:
        self._db: sqlite3.Connection | None = None
        self._of: dict[tuple[str, str], Sequence[Consent]] = {}

    def join_transaction(self, db: sqlite3.Connection) -> None:
        """Reads over its connection."""
        self._db = db

    def of(self, tenant: str, subject: str, /) -> Sequence[Consent]:
        """Those that hold."""
        found = self._of.get((tenant, subject))
        if found is None:
            assert self._db is not None
            found = sharing_tables.consents_of(self._db, tenant, subject)
            if len(self._of) >= MOST_SUBJECTS:
                del self._of[next(iter(self._of))]
            self._of[tenant, subject] = found
        return found

    def drop(self, tenant: str, subject: str) -> None:
        """The user has changed something."""
        self._of.pop((tenant, subject), None)

    def forget(self) -> None:
        """What is in memory may not be so."""
        self._of.clear()
