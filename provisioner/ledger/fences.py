"""Fences: what every batch compares besides session, usage and units, so that nothing is written
by an earlier sight of what others decide.

A fence is a key that is rewritten in the transaction that changes such a thing. It is adopted only
once this server knows of that change; until then its batches compare the one before, and are
refused. What it costs is one compare in a transaction that is made anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Protocol

from control_plane.errors import ServiceError
from control_plane.printable import quoted
from control_plane.store.damaged import shown_key
from control_plane.store.port import MAX_OPERATIONS, Compare, KeyValue, Store

log = logging.getLogger(__name__)


class Fence(Protocol):
    """As adopted from one store."""

    @property
    def compare(self) -> Compare:
        """What batches compare."""
        ...

    async def adopt(self, found: KeyValue | None) -> None:
        """Takes over what stands in the store, once this server knows of it. Where that takes too
        long it is left as it was, and batches go on being refused."""
        ...

    def concerns(self, tenants: Collection[Hashable]) -> bool:
        """Whether clients of some of these tenants may have to be refused now; False: none."""
        ...

    def refusal(self, assignment_key: bytes) -> ServiceError | None:
        """Why the client of this key may not be given a home; None: it may."""
        ...


class Fences:
    """Those of one store with assignments."""

    def __init__(self, *fences: Fence) -> None:
        self._fences = fences

    def __len__(self) -> int:
        return len(self._fences)

    def compares(self) -> Sequence[Compare]:
        """Of all of them, in their order."""
        return tuple(one.compare for one in self._fences)

    async def adopt(self, store: Store) -> None:
        """Reads and adopts each. Raises StoreUnavailable."""
        for one in self._fences:
            await one.adopt(await store.get(one.compare.key))

    def asked(self, tenants: Collection[Hashable]) -> Callable[[bytes], ServiceError | None] | None:
        """What is to be asked for each client before it is given a home, where clients of these
        tenants wait; None: nothing. It holds until this server hears of something new."""
        if len(tenants) > MAX_OPERATIONS:
            return self.refusal  # a batch has fewer clients than there are tenants
        if any(one.concerns(tenants) for one in self._fences):
            return self.refusal
        return None

    def refusal(self, assignment_key: bytes) -> ServiceError | None:
        """Why the client of this key may not be given a home; None: it may."""
        for one in self._fences:
            why_not = one.refusal(assignment_key)
            if why_not is not None:
                return why_not
        return None


NO_FENCES = Fences()


def revision_asked(found: KeyValue) -> int | None:
    """The revision of the control data as of which a fence asks for what it guards: in an
    assignment cluster its value names it, with the control data it is its own. None: it is
    damaged, which is logged."""
    try:
        return int(found.value) if found.value else found.mod_revision
    except ValueError:
        log.error(
            "the record %s is damaged: %s is no revision; no client is given a home while it is",
            shown_key(found.key), quoted(found.value),
        )  # fmt: skip
        return None
