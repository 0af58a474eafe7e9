"""The tasks that a data-sharing server has done in processes of their own.

Those import this module, and with it everything that is to be there when a task begins; no gRPC,
which does not survive a fork.
"""

from __future__ import annotations

from control_plane.offloading.port import TaskLimits, Tasks
from data_sharing.api import tested_rules
from data_sharing.decisions import rule_document
from data_sharing.management import plan_task
from data_sharing.registry import submission_tasks

TASKS: Tasks = {
    submission_tasks.READ: submission_tasks.read_task,
    submission_tasks.COMPARE: submission_tasks.compare_task,
    rule_document.CHECK: rule_document.check_task,
    tested_rules.TEST: tested_rules.test_task,
    plan_task.READ: plan_task.read_task,
}
PLACE = f"{__name__}:TASKS"
LIMITS = {
    # Large documents of sound rules, and schemas that are hard to compare, are not rare.
    rule_document.CHECK: TaskLimits(cpu_s=10.0, wall_s=60.0),
    tested_rules.TEST: TaskLimits(cpu_s=10.0, wall_s=60.0),
    submission_tasks.COMPARE: TaskLimits(cpu_s=5.0, wall_s=30.0),
}
