"""Health checks of `homeport doctor`. Pure: observations in, findings out.

Each finding is one line: ok, warn or fail, what was seen, and for the last two what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from control_plane.printable import number_of

CLOCK_WARN_S, CLOCK_FAIL_S = 2.0, 30.0  # an HTTP date has whole seconds
GEO_OLD_DAYS = 180.0
FUTURE_DAYS = 2.0  # that clocks and time zones explain
NEARLY_FULL = 0.9


class CheckOutcome(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    check: str
    outcome: CheckOutcome
    seen: str
    next_step: str = ""  # empty where all is well


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedUnit:
    """A unit as the service lists it."""

    id: str
    live: bool
    clients: int
    capacity: int
    taking: bool = True  # whether it takes new clients now: not one that is cordoned or lost


def ok(check: str, seen: str) -> Finding:
    return Finding(check=check, outcome=CheckOutcome.OK, seen=seen)


def warn(check: str, seen: str, next_step: str) -> Finding:
    return Finding(check=check, outcome=CheckOutcome.WARN, seen=seen, next_step=next_step)


def fail(check: str, seen: str, next_step: str) -> Finding:
    return Finding(check=check, outcome=CheckOutcome.FAIL, seen=seen, next_step=next_step)


def check_versions(here: str, there: str | None) -> Finding:
    """`there` None: the server does not say."""
    if there is None:
        return warn(
            "version",
            f"this is {here}; the server does not say",
            "install this version there, and name its metrics port with --metrics",
        )
    if here.split(".")[:2] != there.split(".")[:2]:
        return warn(
            "version",
            f"this is {here}, the server {there}",
            "install the same minor version on both sides",
        )
    return ok("version", f"{here} here, {there} there")


def check_store(connected: float | None, ready: bool) -> Finding:
    """`connected` is homeport_store_connected; None: not told."""
    if connected == 0.0:
        return fail(
            "store",
            "the server has lost its store",
            "look at the store and at the server's log; known clients are still answered",
        )
    if not ready:
        return fail(
            "store",
            "the server cannot place new clients now",
            "wait a few seconds for its session with the store; else look at its log",
        )
    return ok("store", "connected, and the server can place new clients")


def check_tasks(failing: Sequence[str]) -> Finding:
    """`failing`: the background tasks of the server that fail now."""
    if failing:
        return fail(
            "tasks",
            f"failing in the server's background: {', '.join(failing)}",
            "read the server's log, which has the traceback; each is begun anew by itself",
        )
    return ok("tasks", "nothing fails in the server's background")


def check_records(damaged: Sequence[str]) -> Finding:
    """`damaged`: the keys of records that the server leaves out because it cannot read them."""
    if damaged:
        return fail(
            "records",
            f"damaged in the store, and left out: {', '.join(damaged)}",
            "apply the unit or tenant again, cancel and begin the job anew; the server's log says "
            "what is wrong with each",
        )
    return ok("records", "every record that the server follows can be read")


def check_policies(behind: float | None, resting_hooks: Sequence[str]) -> Finding:
    """`behind`: tenants whose newest policy the server cannot read, None: not told; hooks that
    failed so often that they are not asked for a while."""
    if behind:
        return fail(
            "policies",
            f"the newest policy of {behind:,.0f} tenants cannot be read, and the one before counts",
            "read the server's log, which names them; bring the server to the version that wrote "
            "them, or apply the policy again",
        )
    if resting_hooks:
        return warn(
            "policies",
            f"hooks that give no answer and are left alone: {', '.join(resting_hooks)}",
            "look at the tenant's service; without it policies say what holds",
        )
    return ok("policies", "every policy can be read, and no hook is left alone")


def check_clock(skew_s: float) -> Finding:
    """Server's clock less ours, seconds. Tickets carry times, so clocks have to agree."""
    ahead = "ahead of" if skew_s > 0 else "behind"
    seen = f"the server's clock is {abs(skew_s):.0f} s {ahead} this one"
    step = "synchronise both with NTP; tickets are checked against the clock"
    if abs(skew_s) > CLOCK_FAIL_S:
        return fail("clock", seen, step)
    if abs(skew_s) > CLOCK_WARN_S:
        return warn("clock", seen, step)
    return ok("clock", "agrees with the server's to the second or two that can be told")


def check_geo(build_s: float | None, now_s: float) -> Finding:
    """`build_s`: Unix time at which the database in use was built; None: not told."""
    if not build_s:
        return warn(
            "geo",
            "the server does not say how old its geo database is",
            "reach its metrics port, or look at the file: homeport geo info",
        )
    days = (now_s - build_s) / 86_400
    if days < -FUTURE_DAYS:
        return warn(
            "geo",
            "the geo database says that it was built in the future",
            "look at the file: homeport geo info",
        )
    if days > GEO_OLD_DAYS:
        return warn(
            "geo",
            f"the geo database is {days:,.0f} days old",
            "give the server a newer one with --geo; it is picked up while serving",
        )
    return ok("geo", f"the geo database is {max(0.0, days):,.0f} days old")


def check_agents(units: Sequence[ObservedUnit]) -> Finding:
    if not units:
        return fail("agents", "there are no units", "describe them: homeport units apply -f FILE")
    away = [unit.id for unit in units if not unit.live]
    if not away:
        return ok("agents", f"live at {_all_of(len(units))}")
    step = "start them: homeport agent --units FILE --server HOST:PORT"
    if len(away) == len(units):
        return fail("agents", f"live at none of {number_of(len(units), 'unit')}", step)
    return warn("agents", f"none live at {_some(away)}", step)


def _all_of(units: int) -> str:
    return "the one unit" if units == 1 else f"all {number_of(units, 'unit')}"


def check_room(units: Sequence[ObservedUnit]) -> Finding:
    """Room for new clients: only that of units that take them counts."""
    taking = [unit for unit in units if unit.taking]
    capacity = sum(unit.capacity for unit in taking)
    room = sum(max(0, unit.capacity - unit.clients) for unit in taking)
    step = "raise capacities or add units: homeport units apply -f FILE"
    if not taking:
        why = "see their status with `homeport units list`; start agents, or undrain units"
        return fail("room", f"none: no unit of {len(units):,} takes new clients", why)
    rest = len(units) - len(taking)
    others = f"; {number_of(rest, 'other unit')} take{'s' * (rest == 1)} none" * (rest > 0)
    if room == 0:
        return fail("room", f"none left in {number_of(len(taking), 'unit')}{others}", step)
    over = [unit.id for unit in units if unit.clients > unit.capacity]
    full = [unit.id for unit in taking if unit.clients >= NEARLY_FULL * unit.capacity]
    seen = f"for {room:,} of {number_of(capacity, 'client')}{others}"
    if over:
        return warn("room", f"{seen}; more clients than capacity: {_some(over)}", step)
    if full:
        return warn("room", f"{seen}; nearly full: {_some(full)}", step)
    return ok("room", seen)


def _some(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
