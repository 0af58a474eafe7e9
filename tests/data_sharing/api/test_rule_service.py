"""The rule service over a registry of rules: apply, list, try and retire."""

from __future__ import annotations

import dataclasses
import json

import pytest

from control_plane.errors import InvalidInput, NotFound, Refused
from control_plane.offloading.port import TooCostly
from data_sharing.api.rule_service import MAX_DOCUMENT_BYTES, MOST_SAMPLES, RuleService
from data_sharing.decisions.pauses import Pauses
from data_sharing.decisions.rollouts import Rollouts
from data_sharing.decisions.rule_registry import RuleRegistry
from data_sharing.registry.catalogue import Catalogue
from homeport.api.datasharing.v1 import rule_pb2 as pb
from tests.support.datasharing_callers import OPERATOR, callers
from tests.support.decisions_harness import (
    CATALOGUE,
    TENANT,
    event,
)
from tests.support.fakes.offload import FakeOffload
from tests.support.instructions import NOW_MS
from tests.support.rule_services import (
    apply,
    document,
    replace_fields,
)
from tests.support.sharing_parts import read_turns, redaction


async def test_an_applied_rule_decides_from_the_next_event_on(harness, service) -> None:
    await harness.publish(event({"on": True}, feed="switched"))
    (rule,) = await apply(service, document("r"))
    assert (rule.tenant, rule.rule_id, rule.version, rule.retired) == (TENANT, "r", 1, False)
    assert rule.apply_time.ToMilliseconds() == NOW_MS
    assert json.loads(rule.spec)["when"] == "e.data.on"
    await harness.publish(event({"on": True}, feed="switched", id="e2"))
    assert [one.position for one in harness.decisions()] == [2]


async def test_a_version_grows_with_the_content_alone(service) -> None:
    await apply(service, document("r"))
    assert [one.version for one in await apply(service, document("r"))] == [1]
    assert [
        one.version for one in await apply(service, document("r", when="e.data.on == false"))
    ] == [2]
    old = await service.GetRule(pb.GetRuleRequest(rule_id="r", version=1), OPERATOR)
    assert json.loads(old.spec)["when"] == "e.data.on"
    newest = await service.GetRule(pb.GetRuleRequest(rule_id="r"), OPERATOR)
    assert newest.version == 2
    with pytest.raises(NotFound, match='no rule "r" 3'):
        await service.GetRule(pb.GetRuleRequest(rule_id="r", version=3), OPERATOR)


COSTLY = "e.data.list.map(x, x.a).map(x, x).size() > 3"


async def test_rules_that_make_one_event_too_costly_together_are_refused(service) -> None:
    """Each of them is taken alone; what is in force counts, and what it is replaced by does not."""
    fits = document(*(f"a{n}" for n in range(40)), when=COSTLY)
    await apply(service, fits)
    more = document(*(f"b{n}" for n in range(40)), when=COSTLY)
    for dry_run in (True, False):
        with pytest.raises(Refused, match="on feed switched could cost"):
            await apply(service, more, dry_run=dry_run)
    await apply(service, fits)
    await apply(service, document(*(f"b{n}" for n in range(1_000)), when="e.data.on"))
    for n in range(40):
        await service.RetireRule(pb.RetireRuleRequest(rule_id=f"a{n}"), OPERATOR)
    await apply(service, more)


async def test_a_dry_run_compiles_and_keeps_nothing(harness, service) -> None:
    assert [one.version for one in await apply(service, document("r"), dry_run=True)] == [1]
    assert list((await service.ListRules(pb.ListRulesRequest(), OPERATOR)).rules) == []
    with pytest.raises(InvalidInput):
        await apply(service, document("r", when="e.daat.on"), dry_run=True)


async def test_a_document_comes_into_force_as_a_whole_or_not_at_all(service) -> None:
    with pytest.raises(InvalidInput):
        await apply(service, document("good") + document("bad", when="nonsense(").split("\n", 1)[1])
    assert list((await service.ListRules(pb.ListRulesRequest(), OPERATOR)).rules) == []


async def test_rules_are_listed_by_id_page_by_page(service) -> None:
    await apply(service, document("c", "a", "b"))
    first = await service.ListRules(pb.ListRulesRequest(page_size=2), OPERATOR)
    assert [one.rule_id for one in first.rules] == ["a", "b"]
    rest = await service.ListRules(
        pb.ListRulesRequest(page_size=2, page_token=first.next_page_token), OPERATOR
    )
    assert ([one.rule_id for one in rest.rules], rest.next_page_token) == (["c"], "")


async def test_a_retired_rule_decides_no_more_and_is_listed_on_request(harness, service) -> None:
    await apply(service, document("r"))
    retired = await service.RetireRule(pb.RetireRuleRequest(rule_id="r"), OPERATOR)
    assert retired.retired
    await harness.publish(event({"on": True}, feed="switched"))
    assert harness.decisions() == []
    assert list((await service.ListRules(pb.ListRulesRequest(), OPERATOR)).rules) == []
    with_retired = await service.ListRules(pb.ListRulesRequest(with_retired=True), OPERATOR)
    assert [one.rule_id for one in with_retired.rules] == ["r"]
    (again,) = await apply(service, document("r"))
    assert (again.version, again.retired) == (1, False)


async def test_a_rule_whose_feed_is_gone_is_suspended_until_it_is_back(
    harness, service, registry, catalogues
) -> None:
    await apply(service, document("r"))
    catalogues.now = Catalogue()
    registry.in_force.follow(catalogues.now)
    rule = await service.GetRule(pb.GetRuleRequest(rule_id="r"), OPERATOR)
    assert rule.health.parked
    assert "switched" in rule.health.last_error
    await harness.publish(event({"on": True}, feed="switched"))
    assert harness.decisions() == []
    catalogues.now = CATALOGUE
    registry.in_force.follow(catalogues.now)
    await harness.publish(event({"on": True}, feed="switched", id="e2"))
    assert [one.position for one in harness.decisions()] == [2]


async def test_what_a_change_of_the_catalogue_does_not_concern_is_not_compiled_again(
    harness, service, registry, catalogues
) -> None:
    await apply(service, document("r"))
    before = harness.worker.rules.rules[TENANT, "r"]
    (lamp,) = CATALOGUE.applications(TENANT)
    newer = dataclasses.replace(
        lamp, manifest=dataclasses.replace(lamp.manifest, version="1.3.0", description="new")
    )
    catalogues.now = Catalogue([newer])
    registry.in_force.follow(catalogues.now)
    assert harness.worker.rules.rules[TENANT, "r"] is before
    (produced,) = lamp.manifest.produces
    schema = {"type": "object", "properties": {"on": {"type": "boolean"}, "n": {}}}
    changed = (dataclasses.replace(produced, schema=schema),)
    catalogues.now = Catalogue(
        [dataclasses.replace(lamp, manifest=dataclasses.replace(lamp.manifest, produces=changed))]
    )
    registry.in_force.follow(catalogues.now)
    assert harness.worker.rules.rules[TENANT, "r"] is not before


async def test_rules_outlive_the_registry(harness, service) -> None:
    await apply(service, document("r"))
    RuleRegistry(
        harness.database, harness.worker, lambda: CATALOGUE, FakeOffload(), wall_ms=harness.clock
    )
    await harness.publish(event({"on": True}, feed="switched"))
    assert [one.rule for one in harness.decisions()] == ["r"]


async def test_rules_are_tried_on_samples(service) -> None:
    request = pb.TestRulesRequest(document=document("r"))
    for on in (True, False):
        sample = {"type": "switched", "data": {"on": on}, "id": str(on)}
        request.events.append(json.dumps(sample))
    tested = await service.TestRules(request, OPERATOR)
    assert [(one.event_id, one.rules[0].verdict) for one in tested.events] == [
        ("True", "fired"), ("False", "not-matched"),
    ]  # fmt: skip
    assert tested.events[0].rules[0].effects == ["taken: invoke lamp blink {}"]
    assert tested.events[1].rules[0].clauses[0].read == {"e.data.on": "false"}


async def test_time_passes_between_samples_where_they_say_so(service) -> None:
    text = document("r").replace("    when:", "    absent_for: 5m\n    when:")
    sample = json.dumps({"type": "switched", "data": {"on": True}, "id": "first"})
    request = pb.TestRulesRequest(document=text, events=[sample, '{"wait": "6m"}', sample])
    tested = await service.TestRules(request, OPERATOR)
    found = [(one.event_id, one.rules[0].verdict) for one in tested.events]
    assert [verdict for _, verdict in found] == ["waiting", "fired", "waiting", "fired"]
    assert [name for name, _ in found][::2] == ["first", "first"]


@pytest.mark.parametrize(
    ("written", "kind", "when"),
    [
        ("9007199254740993", "number", "e.data.n == 9007199254740992.0"),
        ("9007199254740993", "integer", "e.data.n % 10 == 3"),
        ("20", "number", "e.data.n / 8.0 == 2.5"), ("20.0", "number", "e.data.n / 8.0 == 2.5"),
        ("20", "integer", "e.data.n % 8 == 4"), ("20.0", "integer", "e.data.n % 8 == 4"),
        ("9" * 400, "number", "e.data.n > 1e300"),
    ],
)  # fmt: skip
async def test_a_samples_numbers_are_those_of_its_text(
    service, catalogues, written: str, kind: str, when: str
) -> None:
    catalogues.now = replace_fields(CATALOGUE, {"properties": {"n": {"type": kind}}})
    for data, holds in ((f'{{"n": {written}}}', "fired"), ("{}", "not-matched")):
        request = pb.TestRulesRequest(
            document=document("r", when=when), events=[f'{{"type": "switched", "data": {data}}}']
        )
        tested = await service.TestRules(request, OPERATOR)
        assert [one.verdict for one in tested.events[0].rules] == [holds]


async def test_plans_are_tried_as_they_are_written(service) -> None:
    text = document("r", when="plan.actions.light.config.times + 1.5 == 4.5").replace(
        "    when:", "    plan: {}\n    when:"
    )
    plan = """
plan: p
owner: k
at: 2027-01-15T08:00
actions: {light: {application: lamp, action: blink, config: {times: 3}}}
"""
    request = pb.TestRulesRequest(
        document=text, plans=[plan],
        events=['{"type": "switched", "key": "k", "data": {}, "time": "2027-01-15T07:00:00Z"}'],
    )  # fmt: skip
    tested = await service.TestRules(request, OPERATOR)
    (decided,) = [one for one in tested.events if one.event_id == "1"]
    assert [one.verdict for one in decided.rules] == ["fired"]


@pytest.mark.parametrize(
    ("text", "words"), [("{", "not JSON"), ("1e400", "not JSON"), ("[" * 5_000, "not JSON"),
                        ("NaN", "not JSON"), ("3", "must be a CloudEvent"),
                        ('"' + "x" * 70_000 + '"', "more than")],
    ids=["half", "no-double", "deep", "nan", "a-number", "long"],
)  # fmt: skip
async def test_what_is_no_sample_is_named(service, text: str, words: str) -> None:
    request = pb.TestRulesRequest(document=document("r"), events=['{"type": "x"}', text])
    with pytest.raises(InvalidInput, match=words) as refused:
        await service.TestRules(request, OPERATOR)
    assert refused.value.field == "events[1]"


async def test_what_a_rule_can_fail_on_is_told_when_it_is_applied_and_tried(
    service, catalogues
) -> None:
    fields = {"on": {"type": "boolean"}, "words": {"type": "string"}}
    catalogues.now = replace_fields(CATALOGUE, {"properties": fields})
    text = document("r", when="e.data.on && 10 / size(e.data.words) > 3")
    applied = await service.ApplyRules(pb.ApplyRulesRequest(document=text, dry_run=True), OPERATOR)
    tested = await service.TestRules(pb.TestRulesRequest(document=text), OPERATOR)
    *said, loop = applied.warnings
    assert said == list(tested.warnings)
    assert "may be 0" in said[0]
    # The lamp publishes the feed that the rule watches, and the rule invokes the lamp.
    assert loop == "rules.r: may set itself off: rule r → lamp blink → feed switched → rule r"


async def test_what_is_too_much_is_refused(service) -> None:
    with pytest.raises(InvalidInput, match="more than"):
        await apply(service, "#" * (MAX_DOCUMENT_BYTES + 1))
    request = pb.TestRulesRequest(document=document("r"))
    for _ in range(MOST_SAMPLES + 1):
        request.events.append("{}")
    with pytest.raises(InvalidInput, match="at most"):
        await service.TestRules(request, OPERATOR)


async def test_documents_are_compiled_and_tried_elsewhere(harness, registry) -> None:
    """And what is too costly there is refused, whatever it would have said."""
    offload = FakeOffload(failure=TooCostly("document", "document: takes longer than 5 s to check"))
    rollouts = Rollouts(harness.database, registry, harness.worker, wall_ms=harness.clock)
    pauses = Pauses(harness.database, registry, harness.worker, wall_ms=harness.clock)
    service = RuleService(
        registry,
        rollouts,
        pauses,
        harness.worker,
        offload,
        callers(),
        redaction(harness),
        read_turns(),
    )
    with pytest.raises(TooCostly):
        await service.TestRules(pb.TestRulesRequest(document=document("r")), OPERATOR)
    await service.TestRules(pb.TestRulesRequest(document=document("r")), OPERATOR)
    assert offload.done == [("test-rules", TENANT)] * 2
    checking = FakeOffload(failure=TooCostly("document", "document: takes longer than 5 s"))
    rules = RuleRegistry(
        harness.database, harness.worker, lambda: CATALOGUE, checking, wall_ms=harness.clock
    )
    service = RuleService(
        rules,
        rollouts,
        pauses,
        harness.worker,
        offload,
        callers(),
        redaction(harness),
        read_turns(),
    )
    with pytest.raises(TooCostly):
        await apply(service, document("r"))
    assert rules.rules(TENANT) == []
    for dry_run in (True, False):
        await apply(service, document("r"), dry_run=dry_run)
    assert checking.done == [("check-rules", TENANT)] * 3
