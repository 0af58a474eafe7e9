"""LoadSource: how busy a unit is. The service inside decides; this is the default.

Without anything better, a unit's load is the distinct clients it admitted lately, as a
share of its capacity.
"""

from __future__ import annotations

from typing import Protocol

from control_plane.identity.admission import EpochMemory


class LoadSource(Protocol):
    """Something that knows the unit's load now."""

    def load(self) -> float:
        """Share of what the unit can do, 0.0 to 1.0."""
        ...


class AdmittedClients:
    """The clients in the verifier's memory, as a share of capacity."""

    def __init__(self, memory: EpochMemory, capacity: int) -> None:
        self._memory = memory
        self._capacity = max(1, capacity)

    def load(self) -> float:
        return min(1.0, len(self._memory) / self._capacity)
