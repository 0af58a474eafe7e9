"""Views of data sharing, of long texts; see `filled_views`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rich.console import RenderableType

from console.cli.deciding.backtest import BacktestReport
from console.cli.views import (
    applications,
    approvals,
    backtest,
    decisions,
    plans,
    platforms,
    rollouts,
    rule_memory,
    rules,
    sharing,
)
from data_sharing.management.backtest import Backtest
from data_sharing.rules.ruleset import RuleSet
from homeport.api.datasharing.v1 import (
    approval_pb2,
    decision_pb2,
    plan_pb2,
    platform_pb2,
    registry_pb2,
    rule_pb2,
    sharing_pb2,
)
from tests.support.long_texts import CLIENT, TEXT, filled_with_long_texts


def shared() -> sharing_pb2.SharingPolicy:
    grant = {
        "purpose": TEXT, "applications": [CLIENT, "lamp"], "tenant": ["rules", "operators"],
        "fields": ["", "key", "/position/latitude"], "masks": {"/name": "hash"},
        "basis": "legitimate-interests",
    }  # fmt: skip
    spec = json.dumps({"feed": "example.traffic.commute", "grants": [grant]})
    return sharing_pb2.SharingPolicy(feed="example.traffic.commute", spec=spec)


def backtested() -> BacktestReport:
    nothing = RuleSet([], [])
    return BacktestReport(Backtest(nothing, nothing, start_ms=0), [CLIENT, TEXT])


DATA_SHARING_VIEWS: dict[Callable[..., Any], Callable[[], RenderableType]] = {
    applications.applications_table: lambda: applications.applications_table(
        [filled_with_long_texts(registry_pb2.Application())]
    ),
    applications.faults_table: lambda: applications.faults_table(
        [filled_with_long_texts(registry_pb2.Fault())]
    ),
    rules.scopes_table: lambda: rules.scopes_table(filled_with_long_texts(rule_pb2.Rule())),
    approvals.approvals_table: lambda: approvals.approvals_table(
        [filled_with_long_texts(approval_pb2.Approval())]
    ),
    approvals.evidence_table: lambda: approvals.evidence_table(
        filled_with_long_texts(approval_pb2.Approval())
    ),
    rollouts.rollout_table: lambda: rollouts.rollout_table(
        TEXT, filled_with_long_texts(rule_pb2.Rollout())
    ),
    rollouts.differences_table: lambda: rollouts.differences_table(
        filled_with_long_texts(rule_pb2.Rollout())
    ),
    rollouts.history_table: lambda: rollouts.history_table(
        filled_with_long_texts(rule_pb2.Rollout())
    ),
    rules.rules_table: lambda: rules.rules_table([filled_with_long_texts(rule_pb2.Rule())]),
    rule_memory.bounds_table: lambda: rule_memory.bounds_table(
        filled_with_long_texts(rule_pb2.GetMemoryResponse())
    ),
    sharing.policies_table: lambda: sharing.policies_table([shared()]),
    sharing.consents_table: lambda: sharing.consents_table(
        [filled_with_long_texts(sharing_pb2.Consent())]
    ),
    sharing.reads_table: lambda: sharing.reads_table(
        [filled_with_long_texts(sharing_pb2.SharedRead())]
    ),
    backtest.backtest_table: lambda: backtest.backtest_table(backtested()),
    plans.plans_table: lambda: plans.plans_table([filled_with_long_texts(plan_pb2.Plan())]),
    plans.plan_table: lambda: plans.plan_table(filled_with_long_texts(plan_pb2.Plan())),
    plans.history_table: lambda: plans.history_table(
        [filled_with_long_texts(plan_pb2.PlanChange())]
    ),
    decisions.decisions_table: lambda: decisions.decisions_table(
        [filled_with_long_texts(decision_pb2.Decision())]
    ),
    decisions.instructions_table: lambda: decisions.instructions_table(
        [filled_with_long_texts(decision_pb2.Instruction())]
    ),
    decisions.dead_letters_table: lambda: decisions.dead_letters_table(
        [filled_with_long_texts(decision_pb2.DeadLetter())]
    ),
    platforms.platforms_table: lambda: platforms.platforms_table(
        [filled_with_long_texts(platform_pb2.Platform())]
    ),
}
