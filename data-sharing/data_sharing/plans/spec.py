"""PlanSpec: what somebody plans: when it is, and which actions of which applications run around
it. docs/reference/plans.md explains every field.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from control_plane.errors import InvalidInput
from data_sharing.calendars.timing import Timing, timing_as_stored, timing_of
from data_sharing.calendars.zones import check_zone, zone_of
from data_sharing.documents import read_as, value_of
from data_sharing.forecasts.spec import duration_ms

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
MOST_ACTIONS = 32
MOST_FOLLOWED = 32
MOST_CONFIG_BYTES = 16_384
FARTHEST_MS = 31 * 86_400_000  # an action from its event
DEFAULT_LATE = "5m"


class ActionSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One action. offset: from the event, "-90m" before it. late: still wanted this long after
    it was due; past that it is skipped."""

    application: str
    action: str
    offset: str = "0s"
    config: dict[str, Any] = {}
    late: str = DEFAULT_LATE


class PlanSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event plan. at: local time in `zone`, an instant with an offset of its own, or a day.
    repeats: RFC 5545 recurrence rule, which `at` must be part of."""

    plan: str  # its id
    owner: str
    at: str
    actions: dict[str, ActionSpec]
    name: str = ""  # by which rules select it; default: the id
    zone: str = "UTC"  # IANA time zone
    repeats: str | None = None
    except_at: list[str] = []  # planned times, as `at`, or days that are left out
    follows: list[str] = []  # further keys by which rules find it, as a road or a region
    labels: dict[str, str] = {}


def parse_plan(text: str) -> PlanSpec:
    """Of YAML or JSON. Raises InvalidInput naming the field."""
    spec = read_as(value_of(text, "plan"), PlanSpec, "plan")
    check(spec)
    return spec


def timing(spec: PlanSpec, last_ms: int | None = None) -> Timing:
    """Of a plan that was checked when it was made. last_ms: of its timing, where that is known:
    what COUNT comes to takes long to work out."""
    return timing_as_stored(spec.at, zone_of(spec.zone), spec.repeats, spec.except_at, last_ms)


def check(spec: PlanSpec) -> None:
    """Raises InvalidInput naming the first field at fault."""
    if ID.fullmatch(spec.plan) is None:
        raise InvalidInput("plan", "plan: an id is 1 to 128 of letters, digits and . _ -")
    if not 1 <= len(spec.owner) <= 256:
        raise InvalidInput("owner", "owner: 1 to 256 characters")
    if not 1 <= len(spec.actions) <= MOST_ACTIONS:
        raise InvalidInput("actions", f"actions: {len(spec.actions)}; 1 to {MOST_ACTIONS}")
    if len(spec.follows) > MOST_FOLLOWED:
        raise InvalidInput("follows", f"follows: {len(spec.follows)} keys; at most {MOST_FOLLOWED}")
    if len(msgspec.json.encode(spec)) > 4 * MOST_CONFIG_BYTES:
        raise InvalidInput("plan", f"plan: larger than {4 * MOST_CONFIG_BYTES:,} bytes")
    check_zone(spec.zone)
    timing_of(spec.at, zone_of(spec.zone), spec.repeats, spec.except_at)
    for name, action in spec.actions.items():
        at = f"actions.{name}"
        if NAME.fullmatch(name) is None:
            raise InvalidInput(at, f"{at}: a name is a-z 0-9 _ - with a letter first")
        if not action.application or not action.action:
            raise InvalidInput(at, f"{at}: needs application and action")
        offset_ms(action, at)
        duration_ms(action.late, f"{at}.late")
        if len(msgspec.json.encode(action.config)) > MOST_CONFIG_BYTES:
            raise InvalidInput(at, f"{at}.config: larger than {MOST_CONFIG_BYTES:,} bytes")


def offset_ms(action: ActionSpec, at: str = "action") -> int:
    """Negative: before the event. Raises InvalidInput."""
    text = action.offset
    ahead = text.startswith("-")
    ms = duration_ms(text[1:] if text[:1] in "+-" else text, f"{at}.offset", most_ms=FARTHEST_MS)
    return -ms if ahead else ms
