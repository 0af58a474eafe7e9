"""Whether rules and forecasts say that they may remember more than their tenant's may. Pure.

Less is held at any time, whoever says it, for the least of all holds. So it is no protection that
is checked here; but who asks for more than can be had should hear of it when it is applied.
"""

from __future__ import annotations

from data_sharing.memory_limits import TenantLimits
from data_sharing.rules.document_faults import FaultCollector
from data_sharing.rules.spec import RulesDocument


def check(document: RulesDocument, tenant: str, limits: TenantLimits) -> None:
    """limits: as they are known now. Raises InvalidDocument."""
    faults, of_tenant = FaultCollector(), limits.of(tenant)
    named = [(f"rules.{one.rule}", one.memory) for one in document.rules]
    named += [(f"forecasts.{one.forecast}", one.memory) for one in document.forecasts]
    for at, memory in named:
        for name, (bound, asked) in (memory.bounds() if memory is not None else {}).items():
            most: int = getattr(of_tenant, bound)
            if asked > most:
                said = f"{asked:,} is more than the {most:,} that it may have"
                faults.add(f"{at}.memory.{name}", f"{said} ({limits.shown(tenant, bound)})")
    faults.raise_if_any()
