"""A feed whose names and salaries nobody is granted, rules that look for them in every way, and
what the services are asked about them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from data_sharing.api.approval_service import ApprovalService
from data_sharing.api.decision_service import DecisionService
from data_sharing.api.reading import Tail, read_along
from data_sharing.api.rule_service import RuleService
from data_sharing.api.sharing_service import SharingService
from data_sharing.decisions.pauses import Pauses
from data_sharing.decisions.rollouts import Rollouts
from data_sharing.decisions.rule_registry import RuleRegistry
from data_sharing.decisions.sharing_registry import SharingRegistry
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.delivery.outcome_events import OutcomeEvents
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.feeds.port import Record
from data_sharing.instruction import OUTCOME_FEED, Performance, Performed
from data_sharing.management.approvals import Approvals
from data_sharing.management.operator_actions import OperatorActions
from data_sharing.registry.catalogue import Catalogue, Version
from data_sharing.registry.manifest import Consumed, Manifest, Produced
from data_sharing.sharing.policy import FeedPolicy
from data_sharing.signing import SigningKey
from homeport.api.datasharing.v1 import approval_pb2 as approval_pb
from homeport.api.datasharing.v1 import decision_pb2 as pb
from homeport.api.datasharing.v1 import rule_pb2 as rule_pb
from tests.support.datasharing_callers import OPERATOR, callers
from tests.support.decisions_harness import LAMP, DecisionHarness, decision_harness
from tests.support.fakes.offload import FakeOffload
from tests.support.instructions import NOW_MS
from tests.support.rule_harness import TENANT
from tests.support.sharing_parts import disclosure, read_turns, redaction, shown_records

PURPOSE = "Be on time."
TEXT, NUMBER = "Annabel-Lee", 77317
SECRETS = (TEXT.encode(), str(NUMBER).encode(), msgspec.msgpack.encode(NUMBER),
           msgspec.msgpack.encode(float(NUMBER)))  # fmt: skip
DATA = {"minutes": 50, "name": TEXT, "salary": NUMBER, "nested": {"name": TEXT}}
HEAD = "purpose: Be on time., watch: {t: {feed: traffic}}"
SPY = "do: [{invoke: {application: lamp, action: blink, config: {times: 1, all: t.data}}}]"
RULES = f"""
rules:
  - {{rule: whole-event, {HEAD}, when: "true", {SPY}}}
  - {{rule: asks, {HEAD}, when: t.data.minutes > 0,
     do: [{{invoke: {{application: lamp, action: unlock, config: {{all: t.data}}}}}}]}}
  - {{rule: condition, {HEAD}, when: 't.data.name == "Annabel" + "-Lee"', {SPY}}}
  - {{rule: prefix, {HEAD}, when: 't.data.nested.name.startsWith("A")', {SPY}}}
  - {{rule: greater, {HEAD}, when: t.data.salary > 1000, {SPY}}}
  - {{rule: error, {HEAD}, when: int(t.data.name) > 0, {SPY}}}
  - {{rule: failing-effect, {HEAD}, when: "true",
     do: [{{invoke: {{application: lamp, action: blink,
                      config: {{times: int(string(t.data.minutes) + "x")}}}}}}]}}
  - {{rule: wrong-config, {HEAD}, when: "true",
     do: [{{invoke: {{application: lamp, action: blink, config: {{times: t.data}}}}}}]}}
  - rule: window
    purpose: Be on time.
    watch: {{t: {{feed: traffic}}}}
    windows: {{w: {{over: 1h, value: event.data.salary}}}}
    when: window.w.sum > 0.0 || window.w.count > 0
    do: [{{invoke: {{application: lamp, action: blink, config: {{sum: window.w.sum}}}}}}]
  - rule: join
    purpose: Be on time.
    watch: {{t: {{feed: traffic}}, u: {{feed: weather}}}}
    join: {{within: 1h, consume: cumulative}}
    when: "true"
    do: [{{invoke: {{application: lamp, action: blink, config: {{all: t}}}}}}]
  - rule: waits
    purpose: Be on time.
    watch: {{t: {{feed: traffic}}}}
    when: "true"
    debounce: {{wait: 1h}}
    {SPY}
  - rule: forecast
    purpose: Be on time.
    watch: {{t: {{feed: traffic}}}}
    when: has(forecast.f.mean) || has(t.data.salary)
    do: [{{invoke: {{application: lamp, action: blink, config: {{mean: forecast.f.mean}}}}}}]
  - {{rule: no-purpose, watch: {{t: {{feed: traffic}}}}, when: "true", {SPY}}}
  - {{rule: own-purpose, purpose: Spy., watch: {{t: {{feed: traffic}}}}, when: "true", {SPY}}}
  - {{rule: of-outcome, watch: {{t: {{feed: {OUTCOME_FEED}}}}}, when: "true", {SPY}}}
forecasts:
  - {{forecast: f, feed: traffic, value: event.data.salary, purpose: Be on time., readers: [lamp]}}
"""
MINUTES = {
    "purpose": PURPOSE, "fields": ["/minutes", "key"], "applications": ["lamp", "heating"],
    "tenant": ["rules", "operators"], "basis": "contract",
}  # fmt: skip


def application(name: str, *feeds: str, consumes: tuple[str, ...] = ()) -> Version:
    manifest = Manifest(
        tenant=TENANT,
        application=name,
        version="1.0.0",
        produces=tuple(
            Produced(type=one, schema={"type": "object"}, key="/subject", samples=(),
                     shared_with_everyone=True)
            for one in feeds
        ),
        consumes=tuple(Consumed(feed=one, purpose=PURPOSE) for one in consumes),
    )  # fmt: skip
    return Version(
        manifest=manifest, text="{}", artifact_sha256="a" * 64, artifact_size=1, submitted_ms=0,
        current=True,
    )  # fmt: skip


CATALOGUE = Catalogue(
    [LAMP, application("roads", "traffic", "roadworks"),
     application("heating", "heat", consumes=("traffic",)), application("weather", "weather")]
)  # fmt: skip


class Governed:
    """A worker, what is asked of it, and a feed whose names and salaries nobody is granted."""

    def __init__(self, harness: DecisionHarness) -> None:
        self.harness = harness
        numbers = itertools.count(1)
        self.sharing = SharingRegistry(
            harness.database, harness.worker, wall_ms=harness.clock,
            new_id=lambda: f"k-{next(numbers)}", new_secret=lambda: b"s" * 32,
        )  # fmt: skip
        self.redaction = redaction(harness)
        self.outcomes = OutcomeEvents(harness.log, disclosure(harness).governed)
        recorder = OutcomeRecorder(self.outcomes.record, wall_ms=harness.clock)
        self.recorder = recorder
        dispatcher = Dispatcher(
            harness.database, SigningKey.of(b"k" * 32), recorder, partition="0", fence=1,
            wall_ms=harness.clock, jitter=lambda: 0.0,
        )  # fmt: skip
        actions = OperatorActions(
            harness.database, harness.worker, dispatcher, wall_ms=harness.clock
        )
        approvals = Approvals(harness.database, dispatcher, recorder, wall_ms=harness.clock)
        self.decisions = DecisionService(
            harness.database, harness.worker, dispatcher, actions, approvals, callers(),
            shown_records(harness), redaction(harness), read_turns(),
        )  # fmt: skip
        self.approvals = ApprovalService(
            approvals,
            dispatcher,
            callers(),
            shown_records(harness),
            redaction(harness),
            read_turns(),
        )
        self.registry = RuleRegistry(
            harness.database, harness.worker, lambda: CATALOGUE, FakeOffload(),
            wall_ms=harness.clock,
        )  # fmt: skip
        self.service = SharingService(
            self.sharing,
            harness.database,
            lambda: CATALOGUE,
            FakeOffload(),
            callers(),
            read_turns(),
        )
        self.rules = RuleService(
            self.registry,
            Rollouts(harness.database, self.registry, harness.worker, wall_ms=harness.clock),
            Pauses(harness.database, self.registry, harness.worker, wall_ms=harness.clock),
            harness.worker,
            FakeOffload(),
            callers(),
            redaction(harness),
            read_turns(),
        )

    async def govern(self, *grants: dict[str, Any]) -> None:
        policy = msgspec.convert({"feed": "traffic", "grants": list(grants)}, FeedPolicy)
        await self.sharing.apply(TENANT, [policy])

    async def perform(self, output: str = "") -> None:
        """Everything that is asked for and can be done, by an application that says what it was
        not to learn; empty: that says what it was told."""
        for stored in self.harness.instructions():
            if stored.reason:  # it cannot be carried out
                continue
            said = output or msgspec.json.encode(stored.instruction.configuration).decode()
            done = Performed(
                instruction=stored.instruction.id, attempt=1, status=Performance.DONE,
                platform="hub", output=said, ended_at_ms=NOW_MS,
            )  # fmt: skip
            await self.harness.database.transact(
                lambda db, done=done: self.recorder.record(db, done)  # type: ignore[misc]
            )

    async def tail(
        self, application: str = "", purpose: str = "", key: str = "", *, by_operator: bool = False
    ) -> list[Record]:
        """by_operator: who names an application, and has its own credential."""
        tail = Tail(
            tenant=TENANT,
            application=application,
            purpose=purpose,
            key=key,
            by_operator=by_operator,
        )
        along = read_along(
            self.harness.log, lambda: CATALOGUE, tail, 0, lambda: False,
            shown_records(self.harness), read_turns(),
        )  # fmt: skip
        return [record async for stretch in along for record in stretch.records]

    async def told(self) -> str:
        """All that operators are told of decisions, as text."""
        found = [
            await self.decisions.ListDecisions(pb.ListDecisionsRequest(), OPERATOR),
            await self.decisions.ListInstructions(pb.ListInstructionsRequest(), OPERATOR),
            await self.decisions.ListDeadLetters(pb.ListDeadLettersRequest(), OPERATOR),
            await self.rules.ListRules(rule_pb.ListRulesRequest(), OPERATOR),
        ]
        listed = await self.approvals.ListApprovals(approval_pb.ListApprovalsRequest(), OPERATOR)
        assert listed.approvals
        for one in listed.approvals:
            asked = approval_pb.GetApprovalRequest(
                instruction_id=one.instruction.instruction_id, purpose=PURPOSE
            )
            found += [one, await self.approvals.GetApproval(asked, OPERATOR)]
        for position in range(1, 3):
            request = pb.ExplainDecisionRequest(
                event=pb.EventName(position=position), purpose=PURPOSE
            )
            found.append(await self.decisions.ExplainDecision(request, OPERATOR))
            ancestry = pb.GetAncestryRequest(event=request.event, purpose=PURPOSE)
            found.append(await self.decisions.GetAncestry(ancestry, OPERATOR))
        return "\n".join(map(str, found))


@asynccontextmanager
async def governed_feed(
    folder: Path, *grants: dict[str, Any], rules: str = RULES
) -> AsyncIterator[Governed]:
    """With these rules in force. grants: of its policy; none: MINUTES."""
    origins = {"traffic": "roads", "roadworks": "roads"}
    async with decision_harness(
        folder, find_origin=lambda tenant, feed: origins.get(feed, feed)
    ) as harness:
        governed = Governed(harness)
        await governed.govern(*(grants or (MINUTES,)))
        policies = harness.worker.rules.policies
        harness.rules(rules)
        harness.worker.replace_rules(harness.worker.rules.with_policies(policies))
        yield governed


def kept_besides_events(harness: DecisionHarness) -> bytes:
    """Every value of every table but the log of events, and how large that is."""

    def dump(db: Any) -> bytes:
        tables = [name for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
            " AND name NOT IN ('feed_events', 'feed_logs') AND name NOT LIKE 'sqlite_%'"
        )]  # fmt: skip
        values = [
            value if isinstance(value, bytes) else str(value).encode()
            for table in tables
            for row in db.execute(f"SELECT * FROM {table}")
            for value in row
        ]
        return b"\n".join(values)

    return harness.read(dump)
