"""Every way in which somebody could learn a hidden field, each as a question to a scene.

A way hears something, or finds something out: then it answers with the secret itself. Whoever it is
that hears decides under which policies it must not be heard: an application that a rule invokes, an
operator, or whoever reads plans.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from control_plane.errors import NotFound, ServiceError
from data_sharing.management.backtest import Backtest
from homeport.api.datasharing.v1 import approval_pb2 as approval_pb
from homeport.api.datasharing.v1 import decision_pb2 as pb
from homeport.api.datasharing.v1 import plan_pb2 as plan_pb
from homeport.api.datasharing.v1 import rule_pb2 as rule_pb
from homeport.api.datasharing.v1 import sharing_pb2 as sharing_pb
from tests.support.datasharing_callers import OPERATOR
from tests.support.governed_feed import PURPOSE
from tests.support.hidden_ways import doors
from tests.support.hidden_ways.rules import document
from tests.support.hidden_ways.scene import KEY, PLACES, SECRET, Place, Scene
from tests.support.rule_harness import rules_of


class Reader(Enum):
    """Who hears. LAMP: an application that rules invoke, with the rules themselves."""

    LAMP = "lamp"
    CONSUMER = "consumer"
    OPERATOR = "operator"
    PLANS = "plans"


class Way(NamedTuple):
    """shows: what it tells at least where nothing is hidden, so that it is seen that it tells
    anything. places: of the secret, that it can tell of."""

    name: str
    reader: Reader
    hears: Callable[[Scene], Awaitable[str]]
    shows: str = SECRET
    places: tuple[Place, ...] = PLACES


def told_by(rule: str) -> Callable[[Scene], Awaitable[str]]:
    """What the application is told by a rule."""

    async def hears(scene: Scene) -> str:
        return scene.settings(rule)

    return hears


def found_out_by(rule: str) -> Callable[[Scene], Awaitable[str]]:
    """A rule fires for this secret alone, so whether it does says it."""

    async def hears(scene: Scene) -> str:
        return SECRET if scene.fired(rule) else ""

    return hears


def failed(rule: str) -> Callable[[Scene], Awaitable[str]]:
    """A rule that divides by what is left of the secret when this one is taken from it."""

    async def hears(scene: Scene) -> str:
        letters = [one for one in scene.made.harness.letters() if one.rule == rule]
        return SECRET if any("zero" in one.reason for one in letters) else ""

    return hears


# -- the application -------------------------------------------------------------------


async def payloads(scene: Scene) -> str:
    """What is signed and sent to platforms, and stands in their journals."""
    return str([msgspec.to_builtins(one.instruction) for one in scene.made.harness.instructions()])


async def kept(scene: Scene) -> str:
    """Everything on disk but the log itself: what a copy of the database has of rules."""
    return scene.kept


# -- who tails -------------------------------------------------------------------------


def tailed(application: str, purpose: str, *, key: str = "") -> Callable[[Scene], Awaitable[str]]:
    async def hears(scene: Scene) -> str:
        found = await scene.made.tail(application, purpose, key=key)
        events = [one for one in found if one.type == "traffic"]
        return SECRET if key and events else str(events)

    return hears


async def caused(scene: Scene) -> str:
    """Events of an open feed whose producer names one of the governed feed as their cause."""
    found = await scene.made.tail(purpose=PURPOSE)
    return str([(one, one.event()) for one in found if one.type == "roadworks"])


async def outcomes(scene: Scene) -> str:
    """Of instructions by rules: what the application said of them."""
    found = await scene.made.tail(purpose=PURPOSE)
    return str([one for one in found if one.type == "homeport.instruction.outcome"])


async def backtest(scene: Scene) -> str:
    """Kept events, decided by rules of an operator's own; as the command does it."""
    rules = rules_of(document(scene.place.of, SECRET))
    test = Backtest(rules, rules_of("rules: []"), start_ms=0)
    for record in await scene.made.tail(purpose=PURPOSE):
        test.add_event(record.event(), record.accepted_ms)
    return str((test.added, test.proposed.counts_by_rule))


# -- operators -------------------------------------------------------------------------


async def decisions(scene: Scene) -> str:
    found = await scene.made.decisions.ListDecisions(pb.ListDecisionsRequest(), OPERATOR)
    return str(found)


async def explained_events(scene: Scene) -> str:
    """Why, and why not: rules that decided, that the index passed over, and what they keep."""
    found = []
    for position in range(1, 4):
        asked = pb.ExplainDecisionRequest(event=pb.EventName(position=position), purpose=PURPOSE)
        found.append(await scene.made.decisions.ExplainDecision(asked, OPERATOR))
    return "\n".join(map(str, found))


async def explained_decisions(scene: Scene) -> str:
    """By their ids, as those that time made are asked for."""
    found = []
    for one in scene.made.harness.decisions():
        asked = pb.ExplainDecisionRequest(decision_id=one.id, purpose=PURPOSE)
        answer = await scene.made.decisions.ExplainDecision(asked, OPERATOR)
        if not answer.HasField("event"):
            found.append(answer)
    return "\n".join(map(str, found))


async def ancestry(scene: Scene) -> str:
    nodes = [one.instruction.id for one in scene.made.harness.instructions()]
    nodes += [one.id for one in scene.made.harness.letters()]
    found = [
        await scene.made.decisions.GetAncestry(
            pb.GetAncestryRequest(node_id=node, purpose=PURPOSE), OPERATOR
        )
        for node in nodes
    ]
    return "\n".join(map(str, found))


async def instructions(scene: Scene) -> str:
    """With their settings and outcomes."""
    asked = pb.ListInstructionsRequest()
    return str(await scene.made.decisions.ListInstructions(asked, OPERATOR))


async def dead_letters(scene: Scene) -> str:
    asked = pb.ListDeadLettersRequest(with_redriven=True)
    listed = await scene.made.decisions.ListDeadLetters(asked, OPERATOR)
    each = [
        await scene.made.decisions.GetDeadLetter(
            pb.GetDeadLetterRequest(dead_letter_id=one.dead_letter_id), OPERATOR
        )
        for one in listed.dead_letters
    ]
    return f"{listed}\n{each}"


async def redriven(scene: Scene) -> str:
    """The answer to redriving, and what is decided then."""
    found: list[Any] = []
    for letter in scene.made.harness.letters():
        asked = pb.RedriveDeadLetterRequest(dead_letter_id=letter.id, force=True)
        try:
            found.append(await scene.made.decisions.RedriveDeadLetter(asked, OPERATOR))
        except ServiceError as error:
            found.append(error.message)
    return "\n".join(map(str, found))


async def approvals(scene: Scene) -> str:
    """The queue, each with its evidence, and the answer to a rejection."""
    service = scene.made.approvals
    listed = await service.ListApprovals(approval_pb.ListApprovalsRequest(), OPERATOR)
    found: list[Any] = [listed]
    for one in listed.approvals:
        name = one.instruction.instruction_id
        asked = approval_pb.GetApprovalRequest(instruction_id=name, purpose=PURPOSE)
        found.append(await service.GetApproval(asked, OPERATOR))
        rejected = approval_pb.RejectApprovalRequest(instruction_id=name, reason="no")
        try:
            found.append(await service.RejectApproval(rejected, OPERATOR))
        except ServiceError as error:  # its time was up
            found.append(error.message)
    return "\n".join(map(str, found))


async def rules(scene: Scene) -> str:
    """How rules fare: errors, and keys that are parked."""
    found: list[Any] = [await scene.made.rules.ListRules(rule_pb.ListRulesRequest(), OPERATOR)]
    for name in sorted({name for _, name in scene.made.harness.worker.rules.rules}):
        if "@" not in name:
            asked = rule_pb.GetRuleRequest(rule_id=name)
            one = await scene.made.rules.GetRule(asked, OPERATOR)
            one.spec = ""  # which the scene has written, with the secret in it
            found.append(one)
    for one in found[0].rules:
        one.spec = ""
    return "\n".join(map(str, found))


async def retried(scene: Scene) -> str:
    """Whether a key that is guessed is one that had failed."""
    asked = rule_pb.RetryRuleRequest(rule_id="parked", key=SECRET)
    try:
        found = await scene.made.rules.RetryRule(asked, OPERATOR)
    except ServiceError:
        return ""
    return SECRET if found.unparked else ""


async def rollout(scene: Scene) -> str:
    """What a version in shadow would have done."""
    asked = rule_pb.GetRolloutRequest(rule_id="rolled")
    return str(await scene.made.rules.GetRollout(asked, OPERATOR))


async def shared_reads(scene: Scene) -> str:
    asked = sharing_pb.ListSharedReadsRequest()
    found = await scene.made.service.ListSharedReads(asked, OPERATOR)
    return f"listed {found}"


# -- whoever reads plans ---------------------------------------------------------------


async def plans(scene: Scene) -> str:
    """A plan that a rule has changed, and its history."""
    one = await scene.plans.GetPlan(plan_pb.GetPlanRequest(plan_id="wake-up"), OPERATOR)
    asked = plan_pb.GetPlanHistoryRequest(plan_id="wake-up")
    try:
        history = await scene.plans.GetPlanHistory(asked, OPERATOR)
    except NotFound:
        history = None
    return f"{one}\n{history}"


WAYS = (
    *(
        Way(f"rule: {rule}", Reader.LAMP, told_by(rule))
        for rule in (
            "setting", "whole-event", "keyed", "window", "join", "sequence", "absence", "limit",
            "debounce", "forecast", "approved",
        )
    ),
    *(
        Way(f"rule: {rule}", Reader.LAMP, found_out_by(rule))
        for rule in ("condition", "beginning", "filter", "window-of-some")
    ),
    Way("rule: error", Reader.LAMP, failed("error")),
    Way("rule: error-of-setting", Reader.LAMP, failed("error-of-setting")),
    Way("rule: outcome", Reader.OPERATOR, told_by("outcome")),
    Way("instruction payload and journal", Reader.LAMP, payloads),
    Way("kept on disk", Reader.LAMP, kept),
    Way("tail of a consumer", Reader.CONSUMER, tailed("heating", "")),
    Way("tail of an operator", Reader.OPERATOR, tailed("", PURPOSE)),
    Way("tail of an operator without a purpose", Reader.OPERATOR, tailed("", "")),
    Way("tail of a key that is guessed", Reader.OPERATOR, tailed("", PURPOSE, key=SECRET),
        places=(KEY,)),
    Way("tail of what it caused", Reader.CONSUMER, caused, places=()),
    Way("tail of outcomes", Reader.OPERATOR, outcomes),
    Way("backtest", Reader.OPERATOR, backtest),
    Way("decisions", Reader.OPERATOR, decisions),
    Way("explain an event", Reader.OPERATOR, explained_events),
    Way("explain what time decided", Reader.OPERATOR, explained_decisions),
    Way("ancestry", Reader.OPERATOR, ancestry),
    Way("instructions and outcomes", Reader.OPERATOR, instructions),
    Way("dead letters", Reader.OPERATOR, dead_letters),
    Way("rules and what is parked", Reader.OPERATOR, rules),
    Way("rollout", Reader.OPERATOR, rollout),
    Way("shared reads", Reader.OPERATOR, shared_reads, shows="listed"),
    Way("plans", Reader.PLANS, plans),
    Way("metrics", Reader.OPERATOR, doors.metrics, shows='"parked"'),
    Way("approvals over HTTP", Reader.OPERATOR, doors.approvals),
    Way("audit log", Reader.OPERATOR, doors.audited),
    # Those that change something come last.
    Way("approvals", Reader.OPERATOR, approvals),
    Way("retry of a key that is guessed", Reader.OPERATOR, retried),
    Way("dead letters redriven", Reader.OPERATOR, redriven),
    Way("log, dead letters of what cannot be decided", Reader.OPERATOR, doors.undecided),
)  # fmt: skip
