"""Reads: what a decision is made by, each key as it was read, so that what is written by it can ask
that nothing of it has changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from control_plane.store.port import Compare, Get, KeyValue, Store, Txn, unchanged
from provisioner.organisations.records import Record, decoded

_READ_AT_ONCE = 100


class Reads:
    """Over one store; for one decision. Named keys are those that an explanation tells of."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pairs: dict[bytes, KeyValue | None] = {}
        self._names: dict[bytes, str] = {}

    async def read(self, keys: Iterable[bytes]) -> None:
        """Those that were not read yet; each hundred as of one revision. Raises Unavailable."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._pairs]
        for start in range(0, len(missing), _READ_AT_ONCE):
            asked = missing[start : start + _READ_AT_ONCE]
            found = (await self._store.commit(Txn(then=[Get(key) for key in asked]))).results
            for key, pairs in zip(asked, found, strict=True):
                self._pairs[key] = pairs[0] if pairs else None

    async def get(self, key: bytes, record: type[Record], *, name: str = "") -> Record | None:
        """The record of a key, which is read where it was not. Raises DataLoss, Unavailable."""
        if key not in self._pairs:
            await self.read([key])
        if name:
            self._names[key] = name
        return decoded(self._pairs[key], record)

    def add(self, key: bytes, pair: KeyValue | None, *, name: str = "") -> None:
        """One that somebody else has read."""
        self._pairs[key] = pair
        if name:
            self._names[key] = name

    def revision(self, key: bytes) -> int:
        """At which a key was written that was read; 0: it was not there."""
        pair = self._pairs[key]
        return 0 if pair is None else pair.mod_revision

    def lease(self, key: bytes) -> int:
        """Of a key that was read; 0: it has none, or was not there."""
        pair = self._pairs[key]
        return 0 if pair is None else pair.lease

    def compares(self) -> Sequence[Compare]:
        """That hold while all of it is as it was read."""
        return [unchanged(key, self.revision(key)) for key in self._pairs]

    def revisions(self) -> dict[str, int]:
        """Of the named keys, by name."""
        return {name: self.revision(key) for key, name in self._names.items()}
