"""Claims and releases of the simulations, as much as a transaction needs of them."""

from __future__ import annotations

from collections.abc import Sequence

from control_plane.store import port
from provisioner.ledger.operations import Claim, GuardedRelease


class SimulatedClaim(Claim):
    """A client that is made, or moves. What becomes of it, the simulation reads in the store."""

    def __init__(
        self,
        *,
        key: bytes,
        value: bytes,
        revision: int = 0,
        writes: Sequence[port.Operation] = (),
    ) -> None:
        self.key, self.value, self.revision, self.writes = key, value, revision, writes


class SimulatedRelease(GuardedRelease):
    """A client that leaves."""

    def __init__(
        self,
        *,
        key: bytes,
        revision: int,
        guards: Sequence[port.Compare] = (),
        writes: Sequence[port.Operation] = (),
    ) -> None:
        self.key, self.revision, self.guards, self.writes = key, revision, guards, writes
