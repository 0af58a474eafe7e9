"""RecentAssignments: what this server wrote lately of clients that it gave their first home.

For whoever is to change something of such a client soon after, by a transaction that compares the
assignment: nothing has to be read for it, and what is not so any more has the compare refused.
Nobody keeps it right, so it is no answer to where a client is.
"""

from __future__ import annotations

from collections import OrderedDict

from control_plane.store.port import KeyValue

MOST = 20_000  # clients: some 450 bytes each


class RecentAssignments:
    """Those of the last `most` clients, each until it is taken."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._given: OrderedDict[bytes, tuple[bytes, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._given)

    def give(self, key: bytes, value: bytes, revision: int) -> None:
        """Remembers an assignment that was created at this revision."""
        given = self._given
        given[key] = value, revision
        if len(given) > self._most:
            given.popitem(last=False)

    def take(self, key: bytes) -> KeyValue | None:
        """The assignment as it was written, once; None: it is not remembered."""
        found = self._given.pop(key, None)
        if found is None:
            return None
        value, revision = found
        return KeyValue(key, value, revision, revision, 1)
