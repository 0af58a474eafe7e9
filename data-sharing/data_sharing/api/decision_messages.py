"""Decisions, instructions and dead letters as messages."""

from __future__ import annotations

import msgspec

from data_sharing.api.tested_rules import clause_to_proto
from data_sharing.decisions.dead_letters import DeadLetter
from data_sharing.decisions.history import Decision, Judgement
from data_sharing.decisions.outbox import InstructionState, StoredInstruction
from data_sharing.feeds.port import Record
from data_sharing.instruction import Cause
from data_sharing.management.explanations import Explanation
from data_sharing.management.hidden_fields import HiddenField
from data_sharing.management.shown_records import Shown
from data_sharing.platforms.messages import outcome_to_proto, timestamp
from data_sharing.rules.results import KeptPart
from homeport.api.datasharing.v1 import decision_pb2 as pb

_encode = msgspec.json.Encoder().encode


def cause_to_proto(cause: Cause) -> pb.EventName:
    return pb.EventName(source=cause.source, id=cause.id, type=cause.type, position=cause.position)


def decision_to_proto(decision: Decision) -> pb.Decision:
    return pb.Decision(
        decision_id=decision.id,
        tenant=decision.tenant,
        kind=pb.DecisionKind.ValueType(int(decision.kind)),
        decide_time=timestamp(decision.time_ms),
        rule_id=decision.rule,
        rule_version=decision.rule_version,
        plan_id=decision.plan,
        causes=map(cause_to_proto, decision.causes),
        summary=decision.summary,
        effects_json=_encode(decision.effects).decode(),
        instruction_ids=decision.instructions,
        late_ms=decision.late_ms,
        correlation_id=decision.correlation,
        timer_id=decision.timer,
        hops=decision.hops,
    )


def instruction_to_proto(stored: StoredInstruction, platform: str = "") -> pb.Instruction:
    """`platform`: that has it now, where the outbox does not say so."""
    what = stored.instruction
    state = (
        InstructionState.SENT
        if platform and stored.state is InstructionState.PENDING
        else stored.state
    )
    return pb.Instruction(
        instruction_id=what.id,
        tenant=what.tenant,
        application=what.application,
        version=what.version,
        action=what.action,
        config_json=_encode(what.configuration).decode(),
        modification_json="" if what.modification is None else _encode(what.modification).decode(),
        rule_id=what.rule,
        rule_version=what.rule_version,
        plan_id=what.plan,
        causes=map(cause_to_proto, what.causes),
        decide_time=timestamp(what.decided_at_ms),
        deadline_time=timestamp(stored.deadline_ms),
        state=pb.InstructionState.ValueType(int(state)),
        platform=stored.platform or platform,
        attempts=stored.outcome.attempt if stored.outcome else stored.attempt,
        outcome=None if stored.outcome is None else outcome_to_proto(stored.outcome),
        reason=stored.reason,
        decision_id=what.decision,
        correlation_id=what.correlation,
        hops=what.hops,
    )


def letter_to_proto(
    letter: DeadLetter, stored: StoredInstruction | None, correlation: str = ""
) -> pb.DeadLetter:
    """correlation: the flow that its event is of, as far as whoever asks may see it."""
    return pb.DeadLetter(
        dead_letter_id=letter.id,
        tenant=letter.tenant,
        kind=pb.DeadLetterKind.ValueType(int(letter.kind)),
        create_time=timestamp(letter.time_ms),
        reason=letter.reason,
        event=None if letter.event is None else cause_to_proto(letter.event),
        rule_id=letter.rule,
        rule_version=letter.rule_version,
        instruction=None if stored is None else instruction_to_proto(stored),
        redrive_time=None if letter.redriven_ms is None else timestamp(letter.redriven_ms),
        correlation_id=correlation if stored is None else stored.instruction.correlation,
    )


def explanation_to_proto(
    explanation: Explanation, shown: Shown | None = None
) -> pb.ExplainDecisionResponse:
    """shown: of the event, what whoever asks may see; None: nothing."""
    record = explanation.event
    return pb.ExplainDecisionResponse(
        event=None if record is None else _name(record),
        decide_time=timestamp(explanation.time_ms),
        event_json="" if shown is None else shown.record.content.decode(),
        event_hidden=record is not None and (shown is None or shown.fields is not None),
        rules=[
            *(_judgement(one, False, explanation) for one in explanation.judgements),
            *(_judgement(one, True, explanation) for one in explanation.passed_over),
        ],
        decisions=map(decision_to_proto, explanation.decisions),
        instructions=map(instruction_to_proto, explanation.instructions),
    )


def _name(record: Record) -> pb.EventName:
    return pb.EventName(
        source=record.source, id=record.id, type=record.type, position=record.position
    )


def _judgement(
    judgement: Judgement, passed_over: bool, explanation: Explanation
) -> pb.RuleExplanation:
    return pb.RuleExplanation(
        rule_id=judgement.rule,
        rule_version=judgement.version,
        verdict=judgement.verdict,
        plan_id=judgement.plan,
        detail=judgement.detail,
        clauses=[clause_to_proto(judgement.clauses)] if judgement.clauses else [],
        passed_over=passed_over,
        shadow=judgement.shadow,
        hidden_fields=[_hidden(one) for one in explanation.hidden.get(judgement.rule, ())],
        key=judgement.key,
        kept=map(_kept, judgement.kept),
    )


def _hidden(one: HiddenField) -> pb.HiddenField:
    return pb.HiddenField(
        feed=one.feed, field=one.field, by=one.by, purpose=one.purpose, application=one.consumer,
        since_time=timestamp(one.since_ms) if one.since_ms else None, consent_id=one.consent,
    )  # fmt: skip


def _kept(part: KeptPart) -> pb.KeptPart:
    return pb.KeptPart(
        kind=part.kind,
        name=part.name,
        count=part.events,
        newest=[
            pb.KeptEvent(time=timestamp(one.time_ms), value=one.value, source=one.source, id=one.id)
            for one in part.newest
        ],
        from_time=timestamp(part.from_ms) if part.kind == "window" else None,
        until_time=timestamp(part.until_ms) if part.until_ms else None,
    )
