"""Scene: a feed whose events have one secret, somewhere, rules that look for it, and everything
that came of it: all that any reader is told is asked of this.

The secret is a text of digits that occurs nowhere else, so that it is found as a text, as a number,
and in whatever quotes it. By `Policy` it is hidden from everybody, from operators alone, or not.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from data_sharing.api.plan_service import PlanService
from data_sharing.event import Event
from data_sharing.management.planning import Planning
from homeport.api.datasharing.v1 import plan_pb2 as plan_pb
from homeport.api.datasharing.v1 import rule_pb2 as rule_pb
from tests.support.datasharing_callers import OPERATOR, callers
from tests.support.decisions_harness import event
from tests.support.fakes.offload import FakeOffload
from tests.support.governed_feed import (
    CATALOGUE,
    PURPOSE,
    Governed,
    governed_feed,
    kept_besides_events,
)
from tests.support.hidden_ways.rules import document
from tests.support.instructions import NOW_MS
from tests.support.sharing_parts import read_turns

SECRET = "7731746"
HOUR_MS = 3_600_000
PLAN = """
plan: wake-up
owner: k
at: 2027-01-15T09:00
actions: {light: {application: lamp, action: blink, offset: -10m, config: {times: 3}}}
"""
READERS = {
    "purpose": PURPOSE, "basis": "contract", "applications": ["lamp", "heating"],
    "tenant": ["rules", "operators", "plans"],
}  # fmt: skip


class Place(NamedTuple):
    """Where the secret is. of: it in an expression about an event; field: in a policy."""

    name: str
    of: str
    field: str


FIELD = Place("a-field", "{}.data.secret", "/secret")
NESTED = Place("a-nested-field", "{}.data.deep.secret", "/deep/secret")
KEY = Place("the-key", "{}.key", "key")
SUBJECT = Place("the-subject", "{}.subject", "subject")
FLOW = Place("an-attribute", "{}.id", "")
PLACES = (FIELD, NESTED, KEY, SUBJECT)


def at(place: Place, number: int, feed: str = "traffic") -> Event:
    """An event that has the secret there."""
    made = event(
        {"minutes": 50, "room": "k"}, id=f"e{number}", feed=feed, time_ms=NOW_MS - 1_000 + number
    )
    if place is FIELD:
        return replace(made, data={**made.data, "secret": SECRET})
    if place is NESTED:
        return replace(made, data={**made.data, "deep": {"secret": SECRET, "plain": 1}})
    if place is KEY:
        return replace(made, key=SECRET)
    if place is SUBJECT:
        return replace(made, subject=SECRET)
    return replace(made, correlation=SECRET)


def shown_to_all(place: Place) -> list[dict[str, Any]]:
    """Grants by which nobody is shown the secret, and everybody all else."""
    rest = {FIELD: ["key"], NESTED: ["/deep/plain", "key"], SUBJECT: ["key"], FLOW: ["key"]}
    return [READERS | {"fields": ["/minutes", "/room", *rest.get(place, [])]}]


def hidden_from_operators(place: Place) -> list[dict[str, Any]]:
    """Grants by which rules, and the application that they invoke, are shown it too."""
    tells = {"applications": ["lamp"], "tenant": ["rules"], "fields": [place.field]}
    return [*shown_to_all(place), READERS | tells]


def masked(place: Place, mask: Any) -> list[dict[str, Any]]:
    """Grants by which all are shown what the mask leaves of it."""
    (grant,) = shown_to_all(place)
    return [grant | {"fields": [*grant["fields"], place.field], "masks": {place.field: mask}}]


def all_but(place: Place) -> list[dict[str, Any]]:
    """Grants by which all are shown everything, but what is there."""
    return [READERS | {"fields": ["", "key"], "masks": {place.field: "drop"}}]


def without_consent(place: Place) -> list[dict[str, Any]]:
    """Grants by which it would be shown to all, if the user had consented."""
    (grant,) = shown_to_all(place)
    return [grant, grant | {"fields": [place.field], "basis": "consent"}]


class Scene:
    """What happened, and what can be asked. place: of the secret; kept: everything
    on disk but the log of events, before outcomes came."""

    def __init__(self, made: Governed, place: Place) -> None:
        self.made, self.place, self.kept = made, place, ""
        harness, numbers = made.harness, itertools.count(1)
        planning = Planning(
            harness.database, harness.worker, lambda: CATALOGUE, FakeOffload(),
            wall_ms=harness.clock, new_id=lambda: f"u-{next(numbers)}",
        )  # fmt: skip
        self.plans = PlanService(
            planning, harness.database, callers(), read_turns(), wall_ms=harness.clock
        )

    async def happen(self, *, consents: bool) -> None:
        """Three events with the secret, one of another feed, an hour, and outcomes. consents:
        whether the user did, before."""
        made, harness = self.made, self.made.harness
        for who in ("", "lamp", "heating") if consents else ():
            await made.sharing.give("home", subject="k", consumer=who, purpose=PURPOSE)
        await self.plans.CreatePlan(plan_pb.CreatePlanRequest(spec=PLAN), OPERATOR)
        for candidate in (False, True):
            text = document(self.place.of, SECRET, candidate=candidate)
            await made.rules.ApplyRules(rule_pb.ApplyRulesRequest(document=text), OPERATOR)
        await harness.publish(*(at(self.place, number) for number in range(1, 4)))
        weather = event({"frost": True}, id="w1", feed="weather", time_ms=NOW_MS)
        works = event({"frost": True}, id="r1", feed="roadworks", time_ms=NOW_MS)
        await harness.publish(weather, replace(works, causation="e1"))
        harness.clock.now_ms += HOUR_MS
        while await harness.worker.tick():
            pass
        self.kept = kept_besides_events(harness).decode(errors="replace")
        await made.perform()

    def settings(self, rule: str) -> str:
        """What the application was told by one rule."""
        found = [one.instruction for one in self.made.harness.instructions()]
        return "\n".join(str(dict(one.configuration)) for one in found if one.rule == rule)

    def fired(self, rule: str) -> bool:
        return any(one.rule == rule for one in self.made.harness.decisions() if one.effects)


@asynccontextmanager
async def scene(
    folder: Path,
    place: Place,
    grants: list[dict[str, Any]] | None,
    *,
    consents: bool = False,
) -> AsyncIterator[Scene]:
    """That has happened. grants: of the feed's policy; None: it has no policy. consents: of the
    user whom its events are about."""
    async with governed_feed(folder, *(grants or ()), rules="rules: []") as made:
        if grants is None:
            await made.sharing.remove("home", "traffic")
        found = Scene(made, place)
        await found.happen(consents=consents)
        yield found
