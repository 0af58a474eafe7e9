"""Residence: where an account is at home."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Residence:
    """Where an account is at home. endpoint: empty where this server has not heard of the unit."""

    account: str
    unit_id: str
    endpoint: str
    epoch: int
    introduction: str = ""  # for a viewer whose unit asks
    expires_at: float = 0.0  # of the introduction, Unix seconds
