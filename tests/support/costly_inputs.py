"""Attacks: inputs that are cheap to send and, if nothing bounds them, costly to look at. By name,
each with the call it is sent by, so that whatever promises to bear them can try all of them.

A flood repeats one: what is sent is the same bytes every time, made beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message

from homeport.api.cloudevents.v1 import cloudevents_pb2 as ce
from homeport.api.datasharing.v1 import feed_pb2, plan_pb2, registry_pb2, rule_pb2

OK = grpc.StatusCode.OK
INVALID = grpc.StatusCode.INVALID_ARGUMENT
SUBMIT = "ApplicationRegistry/SubmitApplication"
APPLY, TEST = "RuleService/ApplyRules", "RuleService/TestRules"
PLAN = "PlanService/CreatePlan"
PUBLISH, BATCH = "FeedService/PublishEvent", "FeedService/PublishBatch"
FEED = "lab.readings"
LIST = {"type": "array", "items": {"type": "number"}}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "l": LIST,
        "o": {"type": "array", "items": {"type": "object", "properties": {"v": LIST}}},
        "s": {"type": "string"},
        "e": {"type": "array", "items": {"anyOf": [{"const": n} for n in range(90)]}},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """name: a sentence's worth. method: of homeport.api.datasharing.v1. make: the messages of one
    call, for a tenant. answers: the statuses that are in order; OK also where it is answered with
    what is wrong."""

    name: str
    method: str
    make: Callable[[str], list[Message]]
    answers: tuple[grpc.StatusCode, ...] = (INVALID,)


def manifest(schema: Any, sample: Any = None, **more: Any) -> str:
    """Of the application `lab`, which produces one feed."""
    produced = {
        "type": FEED, "schema": schema, "samples": [{"subject": "a", "data": sample or {}}],
        "shared_with": "everyone",
    }  # fmt: skip
    return json.dumps({"application": "lab", "version": "1.0.0", "produces": [produced], **more})


def sound(tenant: str) -> list[Message]:
    """The manifest that the attacks on rules and events need to be there."""
    return _head(tenant, manifest(SCHEMA), dry_run=False)


def rule(when: str, name: str = "r") -> str:
    """Over the feed of `lab`, in YAML that is JSON."""
    effect = {"invoke": {"application": "lamp", "action": "blink"}}
    return json.dumps({"rule": name, "watch": {"e": {"feed": FEED}}, "when": when, "do": [effect]})


def document(*rules: str) -> str:
    return '{"rules": [' + ", ".join(rules) + "]}"


def event(data: Any, name: str = "a") -> ce.CloudEvent:
    return ce.CloudEvent(
        id=name, source="/lab", spec_version="1.0", type=FEED, text_data=json.dumps(data),
        attributes={"subject": ce.CloudEvent.CloudEventAttributeValue(ce_string="a")},
    )  # fmt: skip


def references(levels: int) -> dict[str, Any]:
    """Each definition applies the next one twice to the same value: 2**levels checks."""
    definitions: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)
    }
    return {"$defs": {**definitions, f"d{levels}": {}}, "properties": {
        "l": {"$ref": "#/$defs/d0"}}}  # fmt: skip


def _head(tenant: str, text: str, *, dry_run: bool = True) -> list[Message]:
    head = registry_pb2.SubmissionHead(tenant=tenant, manifest=text, dry_run=dry_run)
    return [registry_pb2.SubmitApplicationRequest(head=head)]


def _submission(name: str, text: str) -> Attack:
    """Its faults are an answer."""
    answers = (OK, INVALID)
    return Attack(name=name, method=SUBMIT, make=lambda t: _head(t, text), answers=answers)


def _rules(name: str, text: str, *answers: grpc.StatusCode) -> Iterator[Attack]:
    """Sent to be applied, and to be tried."""
    answers = answers or (INVALID,)
    yield Attack(
        name=f"{name}, applied", method=APPLY, answers=answers,
        make=lambda t: [rule_pb2.ApplyRulesRequest(tenant=t, document=text, dry_run=True)],
    )  # fmt: skip
    yield Attack(
        name=f"{name}, tried", method=TEST, answers=answers,
        make=lambda t: [rule_pb2.TestRulesRequest(tenant=t, document=text)],
    )  # fmt: skip


def _plan(name: str, text: str, *answers: grpc.StatusCode) -> Attack:
    return Attack(
        name=name, method=PLAN, answers=answers or (INVALID,),
        make=lambda t: [plan_pb2.CreatePlanRequest(tenant=t, spec=text)],
    )  # fmt: skip


def _samples(name: str, when: str, data: Any, *, count: int) -> Attack:
    """One rule tried with many large events."""
    sample = json.dumps({"type": FEED, "subject": "a", "data": data})
    return Attack(
        name=name, method=TEST, answers=(OK, INVALID),
        make=lambda t: [rule_pb2.TestRulesRequest(
            tenant=t, document=document(rule(when)), events=[sample] * count)],
    )  # fmt: skip


def _events(name: str, data: Any, *, count: int, answers: tuple[grpc.StatusCode, ...]) -> Attack:
    """A batch of the same large events; known ones are answered from then on."""
    return Attack(
        name=name, method=BATCH, answers=answers,
        make=lambda t: [feed_pb2.PublishBatchRequest(
            tenant=t, events=[event(data, f"{name}-{n}") for n in range(count)])],
    )  # fmt: skip


_MANY_KEYS = "a:\n" + "".join(f"  k{n}: {n}\n" for n in range(60_000))
_PLAN = "plan: p\nowner: a\nat: 2026-01-01T00:00\nactions: {x: {application: a, action: b}}\n"
_LISTS = {"l": [1.0] * 10_000}

ATTACKS: tuple[Attack, ...] = (
    _submission("references that double", manifest(references(40), {"l": 1})),
    _submission("alternatives that recurse", manifest(
        {"properties": {"n": {"$ref": "#/$defs/d"}}, "$defs": {"d": {"oneOf": [
            {"properties": {"n": {"$ref": "#/$defs/d"}}},
            {"properties": {"n": {"$ref": "#/$defs/d"}}, "required": ["t"]}]}}},
        json.loads('{"n":' * 30 + "1" + "}" * 30))),
    _submission("a definition of itself", manifest(
        {"$defs": {"d": {"allOf": [{"$ref": "#/$defs/d"}]}}, "$ref": "#/$defs/d"})),
    _submission("patterns of megabytes", manifest(
        {"properties": {f"s{n}": {"pattern": "(a{500}){500}"} for n in range(300)}})),
    _submission("an enum of objects", manifest(
        {"properties": {"l": {"items": {"enum": [{"a": n} for n in range(5_000)]}}}},
        {"l": [{"a": 4_999}] * 2_000})),
    _submission("schemas combined by the thousand", manifest({"allOf": [{}] * 20_000})),
    _submission("fields by the ten thousand", manifest(
        {"properties": {f"f{n}": {"type": "number"} for n in range(8_000)}})),
    _submission("a manifest nested without end", "a: " + "[" * 100_000),
    _submission("a manifest of aliases", "a: &a [x]\n" + "".join(
        f"b{n}: &b{n} [*a, *a]\n" for n in range(9_000))),
    _submission("a number of many digits", '{"application": ' + "9" * 200_000 + "}"),
    *_rules("a document of many keys", _MANY_KEYS),
    *_rules("a document of many rules", document(*(
        rule(f"e.data.s == 'x{n}'", f"r{n}") for n in range(4_000))), OK, INVALID),
    *_rules("a document of long conditions", document(*(
        rule(" || ".join(f"e.data.s == 'x{m}'" for m in range(30)), f"r{n}")
        for n in range(300))), OK, INVALID),
    *_rules("a document nested without end", '{"rules": ' + "[" * 100_000),
    *_rules("a text in place of every character", document(
        rule("e.data.s.replace('a', e.data.s).size() > 1"))),
    *_rules("lists within lists collected", document(
        rule("e.data.o.all(p, p.v.map(q, q).size() > 1)"))),
    _samples("long lists collected", "e.data.l.map(x, x).size() > 1", _LISTS, count=18),
    _samples("long lists looped over", "e.data.l.exists(x, x > 2.0 || x == 7.5)", _LISTS, count=18),
    _plan("a plan of ten thousand occurrences", _PLAN + "repeats: FREQ=DAILY;COUNT=10000", OK),
    _plan("a plan that leaves days out", _PLAN.replace("plan: p", "plan: q")
          + "repeats: FREQ=DAILY;COUNT=10000\nexcept_at: ["
          + ", ".join(f"2026-{1 + n // 28:02}-{1 + n % 28:02}" for n in range(1, 330)) + "]", OK),
    _plan("a plan that never happens", _PLAN.replace("2026-01-01", "2028-02-29")
          + "repeats: FREQ=YEARLY;INTERVAL=997;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"),
    _plan("a plan of aliases", _PLAN + "labels: &a {x: y}\nfollows: [*a]"),
    _events("events of many values", {"e": [89] * 15_000}, count=15, answers=(OK,)),
    _events("many events that take long to check", {"e": [89] * 100}, count=400, answers=(OK,)),
    _events("events that rules loop over", _LISTS, count=10, answers=(OK,)),
)  # fmt: skip
