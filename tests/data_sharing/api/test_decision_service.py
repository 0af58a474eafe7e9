"""The decision service over a worker and a dispatcher: pages, explanations, operator actions."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput, NotFound, PermissionDenied
from data_sharing.api.decision_service import DecisionService
from data_sharing.api.pages import LOOKED_AT
from data_sharing.decisions import history, rule_tables
from data_sharing.decisions.history import Decision, DecisionKind
from data_sharing.decisions.rule_tables import RuleVersion
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.management.approvals import Approvals
from data_sharing.management.operator_actions import OperatorActions
from data_sharing.rules.compiler import parse
from data_sharing.signing import SigningKey
from homeport.api.datasharing.v1 import decision_pb2 as pb
from tests.support.datasharing_callers import OPERATOR, callers
from tests.support.decisions_harness import TENANT, DecisionHarness, decision_harness, event
from tests.support.instructions import NOW_MS
from tests.support.sharing_parts import read_turns, redaction, shown_records

RULES = """
rules:
  - rule: slow-road
    watch: {e: {feed: traffic}}
    when: e.data.minutes > 30
    do: [{invoke: {application: lamp, action: unlock}}]
  - rule: broken
    watch: {e: {feed: weather}}
    when: 100 / int(e.data.minutes) > 0
    do: [{invoke: {application: lamp, action: blink}}]
"""


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DecisionHarness]:
    async with decision_harness(tmp_path) as made:
        made.rules(RULES)
        yield made


@pytest.fixture
def service(harness: DecisionHarness) -> DecisionService:
    recorder = OutcomeRecorder(lambda *_: None, wall_ms=harness.clock)
    dispatcher = Dispatcher(
        harness.database, SigningKey.of(b"k" * 32), recorder, partition="0", fence=1,
        wall_ms=harness.clock, jitter=lambda: 0.0,
    )  # fmt: skip
    actions = OperatorActions(harness.database, harness.worker, dispatcher, wall_ms=harness.clock)
    approvals = Approvals(harness.database, dispatcher, recorder, wall_ms=harness.clock)
    return DecisionService(
        harness.database, harness.worker, dispatcher, actions, approvals, callers(),
        shown_records(harness), redaction(harness), read_turns(),
    )  # fmt: skip


async def slow_roads(harness: DecisionHarness, count: int) -> None:
    await harness.publish(*(event({"minutes": 45}, id=f"e{n}") for n in range(1, count + 1)))


async def test_decisions_are_listed_newest_first_page_by_page(harness, service) -> None:
    await slow_roads(harness, 3)
    first = await service.ListDecisions(pb.ListDecisionsRequest(page_size=2), OPERATOR)
    assert [one.causes[0].id for one in first.decisions] == ["e3", "e2"]
    assert first.decisions[0].tenant == TENANT
    assert first.decisions[0].kind == pb.DECISION_KIND_RULE
    assert first.decisions[0].decide_time.ToMilliseconds() == NOW_MS
    rest = await service.ListDecisions(
        pb.ListDecisionsRequest(page_size=2, page_token=first.next_page_token), OPERATOR
    )
    assert [one.causes[0].id for one in rest.decisions] == ["e1"]
    assert rest.next_page_token == ""
    none = await service.ListDecisions(pb.ListDecisionsRequest(rule_id="other"), OPERATOR)
    assert list(none.decisions) == []


async def test_instructions_are_listed_by_state_with_what_was_ordered(harness, service) -> None:
    await slow_roads(harness, 1)
    waiting = pb.INSTRUCTION_STATE_AWAITING_APPROVAL
    listed = await service.ListInstructions(pb.ListInstructionsRequest(state=waiting), OPERATOR)
    (one,) = listed.instructions
    assert (one.application, one.version, one.action) == ("lamp", "1.2.0", "unlock")
    assert (one.rule_id, one.attempts, one.state) == ("slow-road", 1, waiting)
    assert one.HasField("outcome") is False
    done = await service.ListInstructions(
        pb.ListInstructionsRequest(state=pb.INSTRUCTION_STATE_DONE), OPERATOR
    )
    assert list(done.instructions) == []


async def test_an_instruction_is_approved_or_denied(harness, service) -> None:
    version = RuleVersion(tenant=TENANT, version=1, spec=parse(RULES).rules[0], applied_ms=0)
    await harness.database.transact(lambda db: rule_tables.write(db, TENANT, [version], [], {}))
    await slow_roads(harness, 2)
    first, second = [one.instruction.id for one in harness.instructions()]
    approved = await service.ApproveInstruction(
        pb.ApproveInstructionRequest(instruction_id=first), OPERATOR
    )
    assert approved.state == pb.INSTRUCTION_STATE_PENDING
    denied = await service.DenyInstruction(
        pb.DenyInstructionRequest(instruction_id=second, reason="not now"), OPERATOR
    )
    assert (denied.state, denied.reason) == (pb.INSTRUCTION_STATE_DEAD, "denied: not now")
    letters = await service.ListDeadLetters(pb.ListDeadLettersRequest(), OPERATOR)
    (letter,) = letters.dead_letters
    assert letter.instruction.instruction_id == second


async def test_a_dead_letter_of_an_event_is_shown_and_redriven(harness, service) -> None:
    await harness.publish(event({"minutes": 0}, feed="weather"))
    (letter,) = (await service.ListDeadLetters(pb.ListDeadLettersRequest(), OPERATOR)).dead_letters
    assert (letter.rule_id, letter.event.id, letter.HasField("instruction")) == (
        "broken", "e1", False,
    )  # fmt: skip
    harness.rules(RULES.replace("100 / int(e.data.minutes) > 0", '"true"'))
    redriven = await service.RedriveDeadLetter(
        pb.RedriveDeadLetterRequest(dead_letter_id=letter.dead_letter_id), OPERATOR
    )
    assert redriven.redrive_time.ToMilliseconds() == NOW_MS
    assert [one.rule for one in harness.decisions()] == ["broken"]
    same = await service.GetDeadLetter(
        pb.GetDeadLetterRequest(dead_letter_id=letter.dead_letter_id), OPERATOR
    )
    assert same == redriven
    waiting = await service.ListDeadLetters(pb.ListDeadLettersRequest(), OPERATOR)
    assert list(waiting.dead_letters) == []


async def test_an_event_is_explained_by_name_by_position_and_by_its_decision(
    harness, service
) -> None:
    await slow_roads(harness, 1)
    by_name = await service.ExplainDecision(
        pb.ExplainDecisionRequest(event=pb.EventName(source="/road", id="e1")), OPERATOR
    )
    by_position = await service.ExplainDecision(
        pb.ExplainDecisionRequest(event=pb.EventName(position=1)), OPERATOR
    )
    by_decision = await service.ExplainDecision(
        pb.ExplainDecisionRequest(decision_id=harness.decisions()[0].id), OPERATOR
    )
    assert by_name == by_position == by_decision
    assert [(one.rule_id, one.verdict, one.passed_over) for one in by_name.rules] == [
        ("slow-road", "fired", False)
    ]
    assert by_name.event_json == '{"minutes":45}'
    assert len(by_name.decisions) == len(by_name.instructions) == 1


async def test_an_explanation_needs_something_to_explain(service) -> None:
    with pytest.raises(InvalidInput, match="name a decision, or an event"):
        await service.ExplainDecision(pb.ExplainDecisionRequest(), OPERATOR)
    with pytest.raises(NotFound):
        await service.ExplainDecision(pb.ExplainDecisionRequest(decision_id="c-1"), OPERATOR)


async def test_another_tenant_is_none_of_an_operators_business(service) -> None:
    with pytest.raises(PermissionDenied, match='nothing to do with tenant "other"'):
        await service.ListDecisions(pb.ListDecisionsRequest(tenant="other"), OPERATOR)


async def test_a_page_of_which_few_are_wanted_looks_at_so_many_rows_and_goes_on(
    harness, service
) -> None:
    """What is wanted is found all the same, in more pages."""

    def put(db: sqlite3.Connection) -> None:
        decisions = [
            Decision(id=f"x{n}", tenant=TENANT, kind=DecisionKind.RULE, time_ms=1, summary="",
                     rule="rare" if n in (3, LOOKED_AT + 50) else "often")
            for n in range(2 * LOOKED_AT)
        ]  # fmt: skip
        history.put(db, *decisions)

    await harness.database.transact(put)
    request, found, pages = pb.ListDecisionsRequest(rule_id="rare"), list[str](), 0
    while pages == 0 or request.page_token:
        page = await service.ListDecisions(request, OPERATOR)
        found += [one.decision_id for one in page.decisions]
        request.page_token = page.next_page_token
        pages += 1
    assert found == [f"x{LOOKED_AT + 50}", "x3"]
    assert pages >= 2


async def test_lists_are_found_by_tenant(harness) -> None:
    """And not among all rows of all tenants."""
    for query in (
        "SELECT row, body FROM decisions WHERE tenant = ? AND row < ? AND row >= ?"
        " ORDER BY row DESC LIMIT ?",
        "SELECT row FROM instructions WHERE tenant = ? AND row < ? AND row >= ?"
        " ORDER BY row DESC LIMIT ?",
        "SELECT row FROM dead_letters WHERE tenant = ? AND row < ? AND row >= ?"
        " ORDER BY row DESC LIMIT ?",
    ):
        plan = harness.read(
            lambda db, query=query: db.execute(
                f"EXPLAIN QUERY PLAN {query}", ("t", 1, 0, 1)
            ).fetchall()
        )
        assert all("tenant=?" in str(step) and "TEMP B-TREE" not in str(step) for step in plan)
