"""ConsentCache: consents of users, as the running transaction sees them.

Read when a user's event is first decided, those of all users of a batch at once, and kept until
they change; what an undone transaction made of them is forgotten with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from data_sharing.decisions import sharing_tables
from data_sharing.sharing.consent import Consent, HeldConsents, Terms, what_of

MOST_SUBJECTS = 50_000
MOST_TERMS = 1_000  # that are told apart; of more they are found as if they were new


class ConsentCache:
    """The port through which a worker's rules look for consents."""

    def __init__(self) -> None:
        self._db: sqlite3.Connection | None = None
        self._of: dict[tuple[str, str], HeldConsents] = {}
        self._terms: dict[tuple[Any, ...], Terms] = {}

    def join_transaction(self, db: sqlite3.Connection) -> None:
        """Reads over its connection."""
        self._db = db

    def of(self, tenant: str, subject: str, /) -> Sequence[Consent]:
        """Those that hold."""
        found = self._of.get((tenant, subject))
        if found is None:
            self.load(tenant, (subject,))
            found = self._of[tenant, subject]
        return found

    def load(self, tenant: str, subjects: Iterable[str]) -> None:
        """So that these are at hand; at most MOST_SUBJECTS stay."""
        assert self._db is not None
        missing = [one for one in subjects if (tenant, one) not in self._of]
        if not missing:
            return
        read = sharing_tables.consents_of_all(self._db, tenant, missing)
        for subject in missing:
            if len(self._of) >= MOST_SUBJECTS:
                del self._of[next(iter(self._of))]
            consents = read.get(subject, ())
            self._of[tenant, subject] = HeldConsents.of(consents, self._terms_of(consents))

    def _terms_of(self, consents: Sequence[Consent]) -> Terms:
        what = tuple(map(what_of, consents))
        found = self._terms.get(what)
        if found is None:
            if len(self._terms) >= MOST_TERMS:
                del self._terms[next(iter(self._terms))]
            found = self._terms[what] = Terms()
        return found

    def drop(self, tenant: str, subject: str) -> None:
        """The user has changed something."""
        self._of.pop((tenant, subject), None)

    def forget(self) -> None:
        """What is in memory may not be so."""
        self._of.clear()
