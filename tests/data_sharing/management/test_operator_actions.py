"""Redriving: once, and only where it makes sense."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from control_plane.errors import NotFound, Refused
from data_sharing.decisions import dead_letters, outbox
from data_sharing.decisions.outbox import InstructionState
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.instruction import Instruction, Performance, Performed
from data_sharing.management.operator_actions import OperatorActions
from data_sharing.signing import SigningKey
from tests.support.decisions_harness import TENANT, DecisionHarness, decision_harness, event
from tests.support.instructions import NOW_MS, RING

ONE = replace(RING, tenant=TENANT)
BROKEN = """
rules:
  - rule: broken
    watch: {e: {feed: traffic}}
    when: 100 / int(e.data.minutes) > 0
    do: [{invoke: {application: lamp, action: blink}}]
"""


class Operator:
    """Actions over a worker and a dispatcher that nobody runs."""

    def __init__(self, harness: DecisionHarness) -> None:
        self.harness = harness
        self.recorder = OutcomeRecorder(lambda *_: None, wall_ms=harness.clock)
        self.dispatcher = Dispatcher(
            harness.database, SigningKey.of(b"k" * 32), self.recorder, partition="0", fence=1,
            wall_ms=harness.clock, jitter=lambda: 0.0,
        )  # fmt: skip
        self.actions = OperatorActions(
            harness.database, harness.worker, self.dispatcher, wall_ms=harness.clock
        )

    async def decided(
        self, instruction: Instruction = ONE, *, needs_approval: bool = False
    ) -> None:
        await self.harness.database.transact(
            lambda db: outbox.put(db, instruction, needs_approval=needs_approval)
        )

    async def ended(self, *, status: Performance | None, platform: str = "") -> str:
        """An instruction that ended as a dead letter; the letter's id."""

        def work(db: sqlite3.Connection) -> None:
            if platform:
                outbox.claim(db, ONE.id, platform)
            if status is None:
                outbox.end_without_outcome(db, ONE.id, InstructionState.DEAD)
            else:
                performed = Performed(instruction=ONE.id, attempt=1, status=status, platform="hub")
                outbox.record_outcome(
                    db, performed, InstructionState.DEAD, attempt=1, reason="failed"
                )
            dead_letters.put_instruction(db, TENANT, ONE.id, reason="failed", now_ms=NOW_MS)

        await self.harness.database.transact(work)
        return self.harness.letters()[-1].id


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    async with decision_harness(tmp_path) as harness:
        yield Operator(harness)


async def test_a_redriven_instruction_has_as_long_as_at_first_and_goes_once(operator) -> None:
    await operator.decided()
    letter_id = await operator.ended(status=None)
    operator.harness.clock.now_ms += 1_000_000
    for _ in range(2):
        letter = await operator.actions.redrive(TENANT, letter_id, force=False)
        assert letter.redriven_ms == operator.harness.clock.now_ms
    (stored,) = operator.harness.instructions()
    assert (stored.state, stored.attempt) == (InstructionState.PENDING, 2)
    lasts_ms = ONE.deadline_ms - ONE.decided_at_ms
    assert stored.deadline_ms == operator.harness.clock.now_ms + lasts_ms
    assert len(operator.dispatcher) == 1


@pytest.mark.parametrize(
    ("status", "platform", "idempotent", "refused"),
    [
        pytest.param(Performance.FAILED, "", False, True, id="it-ran"),
        pytest.param(None, "hub", False, True, id="a-platform-has-it"),
        pytest.param(Performance.FAILED, "", True, False, id="it-ran-and-is-idempotent"),
        pytest.param(Performance.REFUSED, "", False, False, id="it-was-refused-so-nothing-ran"),
        pytest.param(None, "", False, False, id="nobody-has-it"),
    ],
)
async def test_what_may_have_run_is_redriven_by_force_alone(
    operator, status: Performance | None, platform: str, idempotent: bool, refused: bool
) -> None:
    await operator.decided(replace(ONE, idempotent=idempotent))
    letter_id = await operator.ended(status=status, platform=platform)
    if refused:
        with pytest.raises(Refused, match="may have been performed"):
            await operator.actions.redrive(TENANT, letter_id, force=False)
        assert operator.harness.letters()[-1].redriven_ms is None
    await operator.actions.redrive(TENANT, letter_id, force=refused)
    assert operator.harness.instructions()[0].state is InstructionState.PENDING


async def test_an_event_is_decided_once_more_by_the_rule_that_failed(operator) -> None:
    harness = operator.harness
    harness.rules(BROKEN)
    await harness.publish(event({"minutes": 0}))
    (letter,) = harness.letters()
    harness.rules(BROKEN.replace("100 / int(e.data.minutes) > 0", '"true"'), version=2)
    redriven = await operator.actions.redrive(TENANT, letter.id, force=False)
    assert redriven.redriven_ms == NOW_MS
    assert [one.rule_version for one in harness.decisions()] == [2]


async def test_an_event_whose_rule_is_gone_is_not_decided(operator) -> None:
    harness = operator.harness
    harness.rules(BROKEN)
    await harness.publish(event({"minutes": 0}))
    harness.rules(BROKEN.replace("broken", "another"))
    (letter,) = harness.letters()
    with pytest.raises(Refused, match="rule broken is gone"):
        await operator.actions.redrive(TENANT, letter.id, force=False)
    assert harness.letters()[0].redriven_ms is None


async def test_a_letter_that_is_not_there_is_not_redriven(operator) -> None:
    with pytest.raises(NotFound, match='has no dead letter "d-9"'):
        await operator.actions.redrive(TENANT, "d-9", force=True)
