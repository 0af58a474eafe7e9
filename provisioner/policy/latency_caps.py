"""What a ranking of a policy document says of latency, read strictly. Pure."""

from __future__ import annotations

from math import inf

from provisioner.placement.latency import CapStep, LatencyCaps
from provisioner.policy.fields import Fields

MOST_LATENCY_MS = 10_000.0
MOST_STEPS = 4
MOST_AFTER_S = 3_600.0
ANY = "any"  # in place of a cap
LATENCY_FIELDS = ("cap_ms", "relax_to_ms", "relax")
STEP_FIELDS = ("after_s", "to_ms")


def read_latency(rank: Fields, rule: str) -> LatencyCaps:
    """rule: whose ranking it is."""
    caps = rank.part("latency", LATENCY_FIELDS)
    if caps.given and not caps.has("cap_ms"):
        caps.problem("cap_ms", "say within how many ms all units are alike")
    cap = caps.number("cap_ms", 1.0, low=1.0, high=MOST_LATENCY_MS)
    if caps.has("relax") and caps.has("relax_to_ms"):
        caps.problem("relax", "says when the cap relaxes, and `relax_to_ms` has no time; say one")
    if caps.has("relax"):
        steps = _steps(caps, cap)
        limit = steps[-1].to_ms if steps else inf
        return LatencyCaps(cap_ms=cap, relax_to_ms=cap, steps=steps, limit_ms=limit, rule=rule)
    relaxed = caps.number("relax_to_ms", cap, low=1.0, high=MOST_LATENCY_MS)
    if relaxed < cap:
        caps.problem("relax_to_ms", f"is {relaxed:g}, below cap_ms, which is {cap:g}")
    return LatencyCaps(cap_ms=cap, relax_to_ms=max(cap, relaxed))


def _steps(caps: Fields, cap: float) -> tuple[CapStep, ...]:
    said = caps.entries("relax", most=MOST_STEPS)
    if not said and not caps.has_problems:
        caps.problem("relax", "has no step; give one, or leave it out")
    made: list[CapStep] = []
    before = CapStep(after_s=0.0, to_ms=cap)
    for at, one in enumerate(said):
        step = caps.inner(f"relax[{at}]", one, STEP_FIELDS)
        if not step.given:
            continue
        for name, what in (("after_s", "after how many seconds"), ("to_ms", "to how many ms")):
            if not step.has(name):
                step.problem(name, f"say {what} it relaxes")
        after_s = step.number("after_s", 1.0, low=1.0, high=MOST_AFTER_S)
        to_ms = inf
        if step.get("to_ms") != ANY:
            to_ms = step.number("to_ms", inf, low=1.0, high=MOST_LATENCY_MS)
        found = CapStep(after_s=after_s, to_ms=to_ms)
        if not step.has_problems:
            if after_s <= before.after_s:
                step.problem("after_s", f"is {after_s:g}, no more than the step before has")
            if to_ms <= before.to_ms:
                step.problem("to_ms", f"is {_told(to_ms)}, no more than {_told(before.to_ms)}, "
                             "which holds before")  # fmt: skip
        made.append(found)
        before = found
    return tuple(made)


def _told(ms: float) -> str:
    return f"{ms:g}" if ms < inf else ANY
