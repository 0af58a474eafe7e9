"""What can be asked of the ledger: claims, moves, releases and lookups.

Each is one object per client and call, made by the API, carried through queues, and told
its outcome by a method call: no future, no task and no copy per client on the hot path.
The API subclasses them; the ledger only knows these names.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from control_plane import keys
from control_plane.errors import ServiceError
from control_plane.native_classes import mypyc_attr
from control_plane.store import port
from control_plane.store.port import KeyValue
from control_plane.tracing.tracer import Span
from provisioner.ledger.account import Account

log = logging.getLogger(__name__)


@mypyc_attr(allow_interpreted_subclasses=True)
class Operation:
    """Something one client waits for. At most one per key is under way in a process.

    guards, writes: what else must hold, and is written, in its transaction. Each guard
    compares a mod_revision; one that does not hold counts as a change of A.
    """

    __slots__ = ("account", "expires_at", "key")

    key: bytes  # A: assignments/<tenant>/<client>
    revision = 0  # A's mod_revision as last seen; 0: it is to be created
    account: Account  # the unit it touches
    expires_at: float  # monotonic time after which nobody waits any more, s
    guards: Sequence[port.Compare] = ()
    writes: Sequence[port.Operation] = ()

    @abstractmethod
    def failed(self, error: ServiceError) -> None:
        """It ended without an answer. Called at most once, and nothing after it."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Claim(Operation):
    """A client that wants a home: create A, take one slot at `account`."""

    __slots__ = ("reserved", "value")

    reserved: bool  # whether a slot is held for it
    value: bytes  # of A, for the unit that `choose` gave last
    plain = False  # True: it creates A, touches one unit, and has neither guards nor writes
    source: Account | None = None  # the unit that gets a slot back
    recording: Span | None = None  # what is traced of its way through the ledger

    @abstractmethod
    def choose(self) -> Account | ServiceError:
        """The unit it should go to as things stand, or why there is none. May be asked
        again when that unit turns out to be full."""

    def is_current(self) -> bool:
        """Whether `choose` would still go by what it went by: the tenant's policy. One that is not
        is asked again before it is written."""
        return True

    @abstractmethod
    def assigned(self, revision: int) -> None:
        """A is durable, at the store's `revision`."""

    @abstractmethod
    def existing(self, found: KeyValue) -> None:
        """The client had a home already."""

    def changed(self, found: KeyValue | None) -> None:
        """A is not what it was when we saw it."""
        if found is None:
            raise AssertionError("a claim that creates A found nothing, and was refused for it")
        self.existing(found)


@mypyc_attr(allow_interpreted_subclasses=True)
class Move(Claim):
    """A client that goes from `source` to `account`: A with a higher epoch, one slot taken
    there and one given back here. `changed` instead of `existing` says what A is now.

    Only for a ledger with one commit queue: it writes the usage of two units.
    """

    __slots__ = ("guards", "revision", "source", "writes")

    revision: int
    source: Account | None
    guards: Sequence[port.Compare]
    writes: Sequence[port.Operation]

    def __init__(self) -> None:
        self.guards = ()
        self.writes = ()

    def existing(self, found: KeyValue) -> None:
        self.changed(found)

    @abstractmethod
    def changed(self, found: KeyValue | None) -> None:
        """A is not what it was when we saw it: gone, or written since."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Release(Operation):
    """A client that gives its home up: delete A as last seen, give the slot back."""

    __slots__ = ("revision",)

    revision: int  # A's mod_revision as last seen

    @abstractmethod
    def released(self) -> None:
        """A is gone, durably."""

    @abstractmethod
    def changed(self, found: KeyValue | None) -> None:
        """A is not what it was: gone, or written since."""


@mypyc_attr(allow_interpreted_subclasses=True)
class GuardedRelease(Release):
    """A release with guards and writes, which whoever makes one sets."""

    __slots__ = ("guards", "writes")

    guards: Sequence[port.Compare]
    writes: Sequence[port.Operation]


class Lookup(Protocol):
    """Somebody who wants to know A. A claim may be one."""

    key: bytes
    expires_at: float

    def found(self, found: KeyValue | None, /) -> None:
        """A as it stands now."""
        ...

    def failed(self, error: ServiceError, /) -> None:
        """The store did not answer."""
        ...


def tenant_of(operation: Operation | Lookup) -> bytes:
    """Whose turn it is with it."""
    return keys.tenant_in(operation.key)


def tell(outcome: Callable[..., object], *said: object) -> None:
    """Calls an outcome method, or another function of whoever asked. What it raises is a defect
    of its own: it is logged, and neither the ledger nor anybody else is concerned."""
    try:
        outcome(*said)
    except Exception:  # the boundary between the ledger and those who ask
        log.exception("an outcome of the ledger could not be told")
