"""HandoffResult: whose state is handed over between which units, and the outcome. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class HandoffSide(StrEnum):
    """Whose fault it was."""

    SOURCE = "source"
    TARGET = "target"
    NEITHER = "neither"  # the time ran out


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitAddress:
    """Where a unit's agent answers."""

    unit_id: str
    endpoint: str  # host:port


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingClient:
    """Whose state it is; `epoch` is that of the assignment it will have."""

    tenant: str
    client_id: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffDone:
    """The new unit keeps the state, durably as its service means it."""

    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffFailed:
    """The client has to stay where it is."""

    at_fault: HandoffSide
    unit_id: str  # of that side; empty for neither
    reason: str  # one sentence, fit for an operator
    retryable: bool  # whether the same attempt may work later


HandoffResult = HandoffDone | HandoffFailed
