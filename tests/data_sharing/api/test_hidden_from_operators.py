"""What services leave out for operators, method by method, and who may ask what of consents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import InvalidInput, PermissionDenied
from control_plane.quotas.open_streams import OpenLimits, OpenStreams
from data_sharing.api.callers import Callers
from data_sharing.api.feed_service import FeedService
from data_sharing.api.redaction import NOT_SHOWN
from data_sharing.api.sharing_service import SharingService
from data_sharing.feeds.port import Candidate
from homeport.api.datasharing.v1 import decision_pb2 as pb
from homeport.api.datasharing.v1 import feed_pb2 as feeds
from homeport.api.datasharing.v1 import rule_pb2 as rule_pb
from homeport.api.datasharing.v1 import sharing_pb2 as sharing_pb
from tests.support.credentials import authenticator_of, tokens_of
from tests.support.datasharing_callers import OPERATOR
from tests.support.decisions_harness import event
from tests.support.fakes.call_context import FakeContext
from tests.support.fakes.offload import FakeOffload
from tests.support.governed_feed import CATALOGUE, MINUTES, PURPOSE, Governed, governed_feed
from tests.support.rule_harness import TENANT
from tests.support.sharing_parts import disclosure, read_turns, shown_records

NUMBER = 77317
RULES = """
rules:
  - rule: fails
    purpose: Be on time.
    watch: {t: {feed: traffic}}
    park_after: 2
    park_wider_after: 50
    when: int(string(t.data.minutes) + "x") > 0
    do: [{invoke: {application: lamp, action: blink}}]
  - rule: asks-a-forecast
    purpose: Be on time.
    watch: {u: {feed: weather}}
    when: has(forecast.f.mean)
    do: [{invoke: {application: lamp, action: blink}}]
  - rule: joins
    purpose: Be on time.
    watch: {t: {feed: traffic}, u: {feed: weather}}
    join: {within: 1h, consume: recent}
    when: "true"
    do: [{invoke: {application: lamp, action: blink}}]
  - rule: has-no-key
    purpose: Be on time.
    watch: {t: {feed: traffic, key: event.data.minutes}}
    when: "true"
    do: [{invoke: {application: lamp, action: blink}}]
forecasts:
  - {forecast: f, feed: traffic, value: event.data.minutes, purpose: Be on time., readers: [lamp]}
"""
HIDDEN = MINUTES | {"tenant": ["rules"]}


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Governed]:
    async with governed_feed(tmp_path, HIDDEN, rules=RULES) as governed:
        yield governed


def callers(**tokens: Caller) -> Callers:
    return Callers(AccessControl({}, authenticator_of(tokens_of(**tokens))))


PEOPLE = callers(
    viewer=Caller(name="ann", roles=with_implied({Role.VIEWER}), tenant=TENANT),
    roads=Caller(
        name="roads", roles=with_implied({Role.CONSUMER, Role.PRODUCER}), tenant=TENANT,
        application="roads",
    ),
    gateway=Caller(name="gate", roles=with_implied({Role.GATEWAY}), tenant=TENANT),
)  # fmt: skip


def feed_service(made: Governed, whose: Callers) -> FeedService:
    limits = OpenLimits(of_caller=10, of_tenant=10, of_all=10)
    nothing: Any = None
    return FeedService(
        nothing, made.harness.log, lambda: CATALOGUE, whose, nothing,
        OpenStreams("tails", limits, jitter=lambda: 0.5), shown_records(made.harness), read_turns(),
    )  # fmt: skip


async def tailed(made: Governed, token: str, *, whose: Callers = PEOPLE, **asked: Any) -> list[Any]:
    request = feeds.TailRequest(tenant=TENANT, application="roads", after_position=0, **asked)
    context: Any = FakeContext(token)
    along = feed_service(made, whose).Tail(request, context)
    events = [one async for answer in along for one in answer.events]
    return [one for one in events if one.event.type == "traffic"]


async def test_an_operator_who_tails_as_the_producer_is_not_it(made: Governed) -> None:
    await made.harness.publish(event({"minutes": NUMBER}, id="e1"))
    assert await tailed(made, "viewer", purpose=PURPOSE) == []
    (record,) = await tailed(made, "roads")
    assert str(NUMBER) in str(record)
    open_ = Callers(AccessControl({}, None))  # where nobody shows anything, nobody is anybody
    assert len(await tailed(made, "", whose=open_)) == 1


async def test_attributes_may_say_what_is_in_the_data(made: Governed) -> None:
    await made.govern(MINUTES)
    attributes = {"name": str(NUMBER), "partitionkey": "k", "datacontenttype": "application/json"}
    one = event({"minutes": 5}, id="e1")
    await made.harness.log.append(
        [Candidate(event=one, content=b'{"minutes":5}', attributes=msgspec.json.encode(attributes))]
    )
    (record,) = await made.tail("heating")
    assert str(NUMBER).encode() not in record.attributes
    assert msgspec.json.decode(record.attributes).keys() == {"partitionkey", "datacontenttype"}


async def test_how_a_rule_fares_is_told_without_what_it_failed_on(made: Governed) -> None:
    for number in range(3):
        await made.harness.publish(event({"minutes": NUMBER}, id=f"e{number}", key="anna"))
    told: list[Any] = []
    row = made.harness.worker.health(TENANT, "fails", 1).parked()
    assert [one.key for one in row] == ["anna"]
    rule = made.harness.worker.rules.rules[TENANT, "fails"]
    health = rule_pb.RuleHealth(
        last_error=f"{NUMBER}", parked_scopes=[rule_pb.ParkedScope(key="anna", last_error="anna")]
    )
    message = made.redaction.rule(
        rule_pb.Rule(tenant=TENANT, rule_id=rule.id, version=1, health=health)
    )
    told.append(message)
    request = pb.ExplainDecisionRequest(event=pb.EventName(source="/road", id="e2"))
    told.append(await made.decisions.ExplainDecision(request, OPERATOR))  # type: ignore[arg-type]
    details = {one.rule_id: one.detail for one in told[1].rules}
    assert details["has-no-key"] == NOT_SHOWN  # it quotes what is no text
    said = "\n".join(map(str, told))
    assert str(NUMBER) not in said
    assert "anna" not in said
    assert message.health.parked_scopes[0].key == "…"


async def test_differences_of_versions_are_told_without_what_they_would_do(made: Governed) -> None:
    said = {"key": "anna", "stable_effects": [f"{NUMBER}"], "candidate_effects": [f"{NUMBER}"]}
    rollout = rule_pb.Rollout(
        differences=[
            rule_pb.RolloutDifference(cause="e1", position=1, **said),
            rule_pb.RolloutDifference(cause="home/fails/debounce/anna/", **said),
        ]
    )
    found = made.redaction.rollout(TENANT, "fails", rollout)
    assert [one.cause for one in found.differences] == ["e1", "…"]
    assert "anna" not in str(found)
    assert str(NUMBER) not in str(found)


async def test_a_rule_that_reads_a_forecast_reads_what_it_is_made_of(made: Governed) -> None:
    told = disclosure(made.harness)
    assert told.governed(TENANT, "asks-a-forecast")
    assert not told.shows(TENANT, "asks-a-forecast")
    await made.govern(MINUTES)
    assert told.shows(TENANT, "asks-a-forecast")


async def test_a_consent_to_operators_shows_no_decision(made: Governed) -> None:
    told = disclosure(made.harness)
    await made.govern(MINUTES | {"basis": "consent"})
    assert not told.shows(TENANT, "fails")


def sharing_service(made: Governed) -> SharingService:
    return SharingService(
        made.sharing,
        made.harness.database,
        lambda: CATALOGUE,
        FakeOffload(),
        PEOPLE,
        read_turns(),
    )


async def test_a_producer_governs_its_own_feed_alone(made: Governed) -> None:
    service, roads = sharing_service(made), FakeContext("roads")
    with pytest.raises(PermissionDenied, match='roads does not produce "weather"'):
        await service.RemoveSharing(
            sharing_pb.RemoveSharingRequest(feed="weather"), roads  # type: ignore[arg-type]
        )  # fmt: skip
    found = await service.RemoveSharing(
        sharing_pb.RemoveSharingRequest(feed="traffic"), roads  # type: ignore[arg-type]
    )  # fmt: skip
    assert found.feed == "traffic"


async def test_a_gateway_asks_for_one_user_at_a_time(made: Governed) -> None:
    await made.sharing.give(TENANT, subject="anna", consumer="lamp", purpose=PURPOSE)
    service, gateway = sharing_service(made), FakeContext("gateway")
    with pytest.raises(InvalidInput, match="say whose consents"):
        await service.ListConsents(
            sharing_pb.ListConsentsRequest(), gateway  # type: ignore[arg-type]
        )  # fmt: skip
    found = await service.ListConsents(
        sharing_pb.ListConsentsRequest(subject="anna"), gateway  # type: ignore[arg-type]
    )  # fmt: skip
    assert [one.subject for one in found.consents] == ["anna"]
