"""The tasks that a data-sharing server has done in processes of their own.

Those import this module, and with it everything that is to be there when a task begins. None of it
may begin a thread, or a channel of gRPC: neither survives a fork.
"""

from __future__ import annotations

from control_plane.offloading.port import TaskLimits, Tasks
from data_sharing.api import sharing_task, tested_rules
from data_sharing.decisions import rule_document
from data_sharing.management import plan_task
from data_sharing.registry import submission_tasks

TASKS: Tasks = {
    submission_tasks.READ: submission_tasks.read_task,
    submission_tasks.COMPARE: submission_tasks.compare_task,
    rule_document.CHECK: rule_document.check_task,
    tested_rules.TEST: tested_rules.test_task,
    plan_task.READ: plan_task.read_task,
    sharing_task.READ: sharing_task.read_task,
}
_MANIFEST = """
application: a
version: 1.0.0
produces: [{type: a.b, schema: {type: object}, samples: [{subject: a, data: {c: 1}}]}]
"""
_RULES = """
rules:
  - rule: r
    watch: {e: {feed: a.b}}
    when: e.data.c > 1.0 && now > timestamp("2026-01-01T00:00:00Z")
    do: [{invoke: {application: a, action: b}}]
"""
_PLAN = """
plan: p
owner: a
at: 2026-01-01T00:00
repeats: FREQ=DAILY;COUNT=2
actions: {x: {application: a, action: b}}
"""
_SHARING = """
policies: [{feed: a.b, grants: [{purpose: c, fields: [/c], applications: [a]}]}]
"""


def prepare() -> None:
    """One task of each kind, before any is asked for: what libraries make when they are first used
    is there then, which is half the time of a small task."""
    _, manifest, _ = submission_tasks.read_task([_MANIFEST, "t"], lambda _: None)
    part = [[manifest, ""]]
    submission_tasks.compare_task([manifest, part], lambda _: None)
    event = '{"type": "a.b", "subject": "a", "data": {"c": 2}}'
    tested_rules.test_task(["t", _RULES, [event], []], lambda _: [part, b"[]"])
    plan_task.read_task(_PLAN, lambda _: None)
    sharing_task.read_task(_SHARING, lambda _: None)


PLACE = f"{__name__}:TASKS"
LIMITS = {
    # Large documents of sound rules, and schemas that are hard to compare, are not rare.
    rule_document.CHECK: TaskLimits(cpu_s=5.0, wall_s=60.0),
    tested_rules.TEST: TaskLimits(cpu_s=5.0, wall_s=60.0),
    submission_tasks.COMPARE: TaskLimits(cpu_s=5.0, wall_s=30.0),
}
