"""A configuration of ghz (https://ghz.sh) that makes the calls of a load plan, in its order. Pure.

ghz has constant rates and straight ramps, so that is what can be written; a herd and a day cannot.
With `async` it sends when a call is due and waits for nobody, as `homeport load` does. It knows the
methods by the server's reflection. Neither token nor CA is in the file: `-m` and `--cacert` of ghz
give them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulation.load.plan import LoadPlan
from simulation.load.settings import LoadSettings, Scenario
from simulation.load.user_kinds import UserKind

CALL = "homeport.api.provisioning.v1.ProvisioningService/Provision"
MOST_CALLS = 1_000_000  # in a file that ghz reads as a whole
STEPS = 20  # of a ramp


def ghz_config(
    settings: LoadSettings,
    plan: LoadPlan,
    *,
    host: str,
    secured: bool,
    request: Callable[[int, int], dict[str, Any]],
) -> dict[str, Any]:
    """The content of the file. request: of a user at a place. Users who are released are left out:
    ghz makes calls of one method. Raises ValueError for what ghz cannot do."""
    if settings.scenario not in (Scenario.CONSTANT, Scenario.RAMP):
        raise ValueError(f"ghz has no {settings.scenario.value}; it can be constant or ramp")
    data = [
        request(user, place)
        for kind, user, place in zip(
            plan.kinds.tolist(), plan.users.tolist(), plan.places.tolist(), strict=True
        )
        if kind != UserKind.RELEASED
    ]
    if len(data) > MOST_CALLS:
        raise ValueError(
            f"{len(data):,} calls are more than the {MOST_CALLS:,} of one file; lower the rate "
            "or the duration"
        )
    rate = max(1, round(settings.rate_per_s))
    config: dict[str, Any] = {
        "call": CALL,
        "host": host,
        "insecure": not secured,
        "async": True,
        "concurrency": max(1, settings.processes * settings.connections),
        "connections": max(1, settings.processes * settings.connections),
        "timeout": f"{int(settings.timeout_s * 1e3)}ms",
        "total": max(1, len(data)),
        "rps": rate,
        "data": data,
    }
    if settings.scenario is Scenario.RAMP:
        step = max(1, rate // STEPS)
        config |= {
            "load-schedule": "line", "load-start": step, "load-end": rate,
            "load-step": max(1, round(rate / settings.duration_s)),
        }  # fmt: skip
    return config
