"""What tenants have of bounds of memory by their records, checked. Pure.

What they come to is the data-sharing servers' to say: a record never gives more than those allow.
"""

from __future__ import annotations

import math
from dataclasses import asdict

from control_plane.errors import InvalidInput, PermissionDenied
from control_plane.fleet.unit import TenantMemory

MOST = 1 << 50


def check_memory(memory: TenantMemory) -> None:
    """Whether a record may have these. Raises InvalidInput for the first that it may not."""
    for name, most in asdict(memory).items():
        if not 0 <= most <= MOST:
            raise InvalidInput(
                f"tenant.memory.{name}",
                f"tenant.memory.{name}: {most:,} is not within 1 to {MOST:,}, nor 0 for the "
                "servers' bound",
            )


def check_memory_not_raised(before: TenantMemory, after: TenantMemory) -> None:
    """Of one tenant. Raises PermissionDenied for the first of which it would have more."""
    had = asdict(before)
    for name, most in asdict(after).items():
        if (most or math.inf) > (had[name] or math.inf):
            raise PermissionDenied(
                f"who is of one tenant may not raise what its rules remember ({name}); ask an "
                "operator of all tenants"
            )
