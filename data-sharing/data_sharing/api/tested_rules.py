"""TestRules, in a process of its own: a document of rules, sample events and plans to what the
rules make of them, as the message that is answered.
"""

from __future__ import annotations

from typing import Any

import msgspec

from control_plane.errors import InvalidInput
from control_plane.offloading.port import Ask
from data_sharing.decisions.rule_document import read_and_compile
from data_sharing.documents import value_of
from data_sharing.feeds.intake import MAX_EVENT_BYTES
from data_sharing.management.dry_run import dry_run_rules
from data_sharing.management.simulator import SimulatedStep
from data_sharing.rules.results import ClauseOutcome, effect_text
from data_sharing.rules.ruleset import RuleSet
from homeport.api.datasharing.v1 import rule_pb2 as pb

TEST = "test-rules"
MOST_PLAN_BYTES = 64 * 1024


def test_task(arguments: Any, ask: Ask) -> Any:
    """[tenant, document, events, plans] to a TestRulesResponse, encoded."""
    tenant, text, events, plans = arguments
    compiled = read_and_compile(tenant, text, ask).compiled
    rules = RuleSet(compiled.rules, compiled.forecasts)
    steps = dry_run_rules(
        rules,
        tenant,
        events=[_sample(text, place) for place, text in enumerate(events)],
        plans=[
            value_of(text, f"plans[{n}]", most_bytes=MOST_PLAN_BYTES)
            for n, text in enumerate(plans)
        ],
    )
    response = pb.TestRulesResponse(events=map(_tested, steps), warnings=rules.warnings)
    return response.SerializeToString()


def clause_to_proto(clause: ClauseOutcome) -> pb.Clause:
    """A clause with its parts."""
    return pb.Clause(
        text=clause.text,
        outcome=clause.outcome,
        read={name: msgspec.json.encode(value).decode() for name, value in clause.read.items()},
        joined_by=clause.joined_by,
        parts=map(clause_to_proto, clause.parts),
    )


def _tested(steps: SimulatedStep) -> pb.TestedEvent:
    return pb.TestedEvent(
        event_id=steps.event,
        rules=[
            pb.TestedRule(
                rule_id=one.rule,
                verdict=one.verdict.value,
                plan_id=one.plan_id,
                detail=one.detail,
                clauses=[clause_to_proto(one.clauses)] if one.clauses else [],
                effects=[effect_text(effect) for effect in one.effects],
            )
            for one in steps.outcomes
        ],
    )


def _sample(text: str, place: int) -> Any:
    """A sample event as its feed's intake would read it. Raises InvalidInput."""
    field = f"events[{place}]"
    if len(text) > MAX_EVENT_BYTES:
        raise InvalidInput(field, f"{field}: more than {MAX_EVENT_BYTES:,} characters")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(field, f"{field}: not JSON: {error}") from None
