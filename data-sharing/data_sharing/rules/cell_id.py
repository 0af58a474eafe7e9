"""CellId: the name of one cell of state."""

from __future__ import annotations

from typing import NamedTuple


class CellId(NamedTuple):
    """name: of the rule or forecast. kind: "rule", "forecast", "health", "rollout" or
    "limit"."""

    tenant: str
    kind: str
    name: str
    key: str
