"""What of a plan is done in a process of its own: reading it, and working out its recurrence."""

from __future__ import annotations

from typing import Any

import msgspec

from control_plane.offloading.port import Ask
from data_sharing.plans.plan import created
from data_sharing.plans.plan_view import next_occurrence
from data_sharing.plans.spec import parse_plan, timing

READ = "read-plan"


def read_task(arguments: Any, ask: Ask) -> Any:
    """A text to [the plan as JSON, its last occurrence in Unix ms, or None where it never ends]."""
    spec = parse_plan(arguments)
    last_ms = timing(spec).last_ms
    next_occurrence(created("", spec, 0, last_ms), now_ms=0)  # what is asked of it first
    return [msgspec.json.encode(spec), last_ms]
