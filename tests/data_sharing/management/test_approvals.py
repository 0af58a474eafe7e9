"""Approvals: who may let an instruction go, what they judge it by, and that each goes once."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.auth.callers import Caller
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import NotFound, PermissionDenied, Refused, StoreUnavailable
from data_sharing.api.rule_service import RuleService
from data_sharing.decisions.approval_tables import Verdict
from data_sharing.decisions.outbox import InstructionState, StoredInstruction
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.instruction import NO_TERMS, ApprovalTerms, stricter
from data_sharing.management.approvals import Approvals
from data_sharing.management.operator_actions import OperatorActions
from data_sharing.signing import SigningKey
from homeport.api.datasharing.v1 import rule_pb2 as pb
from tests.support.datasharing_callers import OPERATOR
from tests.support.decisions_harness import TENANT, DecisionHarness, decision_harness, event
from tests.support.instructions import NOW_MS
from tests.support.rule_services import Catalogues, apply, rule_registry, rule_service

HOUR_MS = 3_600_000


def caller(name: str, role: Role = Role.OPERATOR) -> Caller:
    return Caller(name=name, roles=with_implied({role}), tenant=TENANT)


ANN, BEN = caller("ann"), caller("ben")


def document(approval: str = "", *, action: str = "unlock", when: str = "e.data.on") -> str:
    return f"""
rules:
  - rule: r
    watch: {{e: {{feed: switched}}}}
    when: {when}
    do: [{{invoke: {{application: lamp, action: {action}{f", approval: {approval}" * bool(approval)}}}}}]
"""  # noqa: E501


class Asking:
    """A rule of ann's that asks for approval, and whoever gives it."""

    def __init__(self, harness: DecisionHarness, service: RuleService) -> None:
        self.harness, self.service, self.sent = harness, service, 0
        self.recorder = OutcomeRecorder(lambda *_: None, wall_ms=harness.clock)
        self.dispatcher = Dispatcher(
            harness.database, SigningKey.of(b"k" * 32), self.recorder, partition="0", fence=1,
            wall_ms=harness.clock, jitter=lambda: 0.0,
        )  # fmt: skip
        self.approvals = Approvals(
            harness.database, self.dispatcher, self.recorder, wall_ms=harness.clock
        )
        self.actions = OperatorActions(
            harness.database, harness.worker, self.dispatcher, wall_ms=harness.clock
        )

    async def ask(self, text: str) -> str:
        """The id of an instruction that was decided by the rule."""
        await apply(self.service, text)
        self.sent += 1
        await self.harness.publish(event({"on": True}, feed="switched", id=f"e{self.sent}"))
        return self.stored().instruction.id

    def stored(self) -> StoredInstruction:
        return self.harness.instructions()[-1]

    async def expire(self) -> None:
        await self.harness.database.transact(self.recorder.end_overdue_approvals)


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Asking]:
    async with decision_harness(tmp_path) as harness:
        registry = rule_registry(harness, Catalogues())
        yield Asking(harness, rule_service(harness, registry))


async def test_an_instruction_waits_with_its_evidence_until_it_is_approved_once(asking) -> None:
    name = await asking.ask(document())
    assert asking.stored().state is InstructionState.AWAITING_APPROVAL
    case = asking.approvals.case(TENANT, name)
    assert (case.approval.verdict, dict(case.approval.read)) == (
        Verdict.WAITING, {"e.data.on": True},
    )  # fmt: skip
    ((cause, record),) = case.events
    assert (cause.id, record.content) == ("e1", b'{"on":true}')
    assert (case.revision, case.changed, case.rule_by) == ("v1", "", "ann")
    for _ in range(2):
        stored = await asking.approvals.approve(TENANT, name, BEN)
        assert stored.state is InstructionState.PENDING
    assert len(asking.dispatcher) == 1
    found = asking.approvals.case(TENANT, name).approval
    assert (found.verdict, found.approver, found.revision) == (Verdict.APPROVED, "ben", "v1")


async def test_a_rule_may_ask_for_approval_of_any_action_and_the_wait_does_not_count(
    asking,
) -> None:
    name = await asking.ask(document("{expires: 1h}", action="blink"))
    asking.harness.clock.now_ms += HOUR_MS
    await asking.expire()
    stored = await asking.approvals.approve(TENANT, name, BEN)
    assert stored.deadline_ms == stored.instruction.deadline_ms == NOW_MS + HOUR_MS + 600_000


async def test_one_that_nobody_decides_in_time_is_a_dead_letter_and_waits_again_when_redriven(
    asking,
) -> None:
    name = await asking.ask(document("{expires: 1h}"))
    asking.harness.clock.now_ms += HOUR_MS + 1
    with pytest.raises(Refused, match="its deadline has passed"):
        await asking.approvals.approve(TENANT, name, BEN)
    await asking.expire()
    (letter,) = asking.harness.letters()
    assert letter.reason == "its deadline passed: nobody approved it"
    assert asking.approvals.case(TENANT, name).approval.verdict is Verdict.EXPIRED
    with pytest.raises(Refused, match="does not wait for approval any more"):
        await asking.approvals.approve(TENANT, name, BEN)
    await asking.actions.redrive(TENANT, letter.id, force=True)
    assert asking.stored().state is InstructionState.AWAITING_APPROVAL
    assert len(asking.dispatcher) == 0
    await asking.approvals.approve(TENANT, name, BEN)
    assert asking.stored().state is InstructionState.PENDING


async def test_what_is_rejected_is_a_dead_letter_and_cannot_be_approved(asking) -> None:
    name = await asking.ask(document())
    for _ in range(2):
        stored = await asking.approvals.reject(TENANT, name, BEN, "not at night")
        assert (stored.state, stored.reason) == (InstructionState.DEAD, "denied: not at night")
    assert [one.reason for one in asking.harness.letters()] == ["denied: not at night"]
    found = asking.approvals.case(TENANT, name).approval
    assert (found.verdict, found.approver, found.reason) == (
        Verdict.REJECTED, "ben", "not at night",
    )  # fmt: skip
    with pytest.raises(Refused, match="does not wait for approval any more: denied"):
        await asking.approvals.approve(TENANT, name, BEN)


@pytest.mark.parametrize(
    ("terms", "denied", "allowed", "why"),
    [
        pytest.param("{by: [carla]}", BEN, caller("carla"), "only carla may", id="by-name"),
        pytest.param("{role: admin}", BEN, caller("ben", Role.ADMIN), "role admin", id="by-role"),
        pytest.param("{four_eyes: true}", ANN, BEN, "ann applied rule r", id="four-eyes"),
    ],
)
async def test_only_those_whom_the_terms_allow_decide(
    asking, terms: str, denied: Caller, allowed: Caller, why: str
) -> None:
    name = await asking.ask(document(terms))
    with pytest.raises(PermissionDenied, match=why):
        await asking.approvals.approve(TENANT, name, denied)
    with pytest.raises(PermissionDenied, match=why):
        await asking.approvals.reject(TENANT, name, denied, "")
    assert asking.stored().state is InstructionState.AWAITING_APPROVAL
    await asking.approvals.approve(TENANT, name, allowed)
    assert asking.stored().state is InstructionState.PENDING


async def test_a_rule_that_has_changed_since_is_looked_at_again(asking) -> None:
    name = await asking.ask(document())
    await apply(asking.service, document(when="true"))
    changed = "rule r decided it by version 1 and is at v2 now"
    with pytest.raises(Refused, match=changed):
        await asking.approvals.approve(TENANT, name, BEN)
    case = asking.approvals.case(TENANT, name)
    assert (case.changed, case.revision) == (changed, "v2")
    await asking.service.RetireRule(pb.RetireRuleRequest(rule_id="r"), OPERATOR)
    with pytest.raises(Refused, match="rule r is retired now, not at v2"):
        await asking.approvals.approve(TENANT, name, BEN, revision=case.revision)
    await asking.approvals.approve(TENANT, name, BEN, revision="retired")
    assert asking.approvals.case(TENANT, name).approval.revision == "retired"


async def test_an_approval_that_is_not_written_leaves_the_instruction_waiting(asking) -> None:
    name = await asking.ask(document())
    database, transact = asking.harness.database, asking.harness.database.transact

    async def undone(work):
        def failing(db: sqlite3.Connection) -> None:
            work(db)
            raise StoreUnavailable("the disk is full")

        return await transact(failing)

    database.transact = undone
    with pytest.raises(StoreUnavailable):
        await asking.approvals.approve(TENANT, name, BEN)
    database.transact = transact
    assert asking.stored().state is InstructionState.AWAITING_APPROVAL
    assert asking.approvals.case(TENANT, name).approval.verdict is Verdict.WAITING
    assert len(asking.dispatcher) == 0
    await asking.approvals.approve(TENANT, name, BEN)
    assert len(asking.dispatcher) == 1


async def test_only_an_instruction_of_the_tenant_that_asks_is_found(asking) -> None:
    name = await asking.ask(document())
    with pytest.raises(NotFound, match="has no instruction"):
        await asking.approvals.approve("other", name, BEN)
    with pytest.raises(NotFound, match="has no instruction"):
        asking.approvals.case("other", name)
    plain = await asking.ask(document(action="blink"))
    with pytest.raises(NotFound, match="needs no approval"):
        asking.approvals.case(TENANT, plain)
    assert [one.approval.instruction for one in asking.approvals.cases(TENANT, 99, 9, None)] == [
        name
    ]


def test_terms_of_rule_and_action_count_both() -> None:
    one = ApprovalTerms(expires_ms=5, by=("a", "b"), four_eyes=True)
    other = ApprovalTerms(expires_ms=9, by=("b", "c"), role="admin")
    both = ApprovalTerms(expires_ms=5, by=("b",), role="admin", four_eyes=True)
    assert stricter(one, other) == stricter(other, one) == both
    assert stricter(one, NO_TERMS) == one
    assert stricter(one, ApprovalTerms(by=("z",))).by == ("nobody",)
