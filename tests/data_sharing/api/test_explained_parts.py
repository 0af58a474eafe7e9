"""Why not, as operators are told it: what a rule held of windows and joins, and which policy or
whose consent hid a field from it, never what it was, and to whom it may be told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.cli.views.explained_parts import hidden_line, kept_line
from data_sharing.rules.kept_parts import MOST_SHOWN
from homeport.api.datasharing.v1 import decision_pb2 as pb
from tests.support.datasharing_callers import OPERATOR
from tests.support.decisions_harness import event
from tests.support.governed_feed import DATA, MINUTES, PURPOSE, TEXT, Governed, governed_feed
from tests.support.instructions import NOW_MS
from tests.support.rule_harness import TENANT

HOLDING = """
rules:
  - rule: window
    purpose: Be on time.
    watch: {t: {feed: traffic}}
    windows: {w: {over: 1h, value: event.data.minutes}, day: {every: 24h}}
    when: window.w.sum > 1000.0 && window.day.count > 0
    do: [{invoke: {application: lamp, action: blink}}]
  - rule: join
    purpose: Be on time.
    watch: {t: {feed: traffic}, u: {feed: weather}}
    join: {within: 1h, consume: recent}
    when: "true"
    do: [{invoke: {application: lamp, action: blink}}]
  - rule: whole-event
    purpose: Be on time.
    watch: {t: {feed: traffic}}
    when: t.data.minutes > 1000.0
    do: [{invoke: {application: lamp, action: blink, config: {all: t}}}]
"""


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Governed]:
    async with governed_feed(tmp_path, rules=HOLDING) as governed:
        yield governed


async def explained(made: Governed, name: str, rule: str, purpose: str = "") -> pb.RuleExplanation:
    request = pb.ExplainDecisionRequest(
        event=pb.EventName(source="/road", id=name), purpose=purpose
    )
    answer = await made.decisions.ExplainDecision(request, OPERATOR)
    assert TEXT not in str(answer)
    return next(one for one in answer.rules if one.rule_id == rule)


async def test_a_window_is_told_with_its_newest_values(made: Governed) -> None:
    for number in range(MOST_SHOWN + 2):
        data = DATA | {"minutes": number}
        await made.harness.publish(event(data, id=f"e{number}", time_ms=NOW_MS + number * 1_000))
    found = await explained(made, f"e{MOST_SHOWN + 1}", "window")
    assert (found.verdict, found.key) == ("not-matched", "k")
    day, window = found.kept
    assert (window.kind, window.name, window.count) == ("window", "w", MOST_SHOWN + 2)
    assert [one.value for one in window.newest] == [*range(2, MOST_SHOWN + 2)]
    assert window.newest[-1].time == window.until_time
    assert window.until_time.seconds - window.from_time.seconds == 3_600
    assert (day.name, day.count, list(day.newest)) == ("day", MOST_SHOWN + 2, [])
    assert kept_line(window) == (
        "window w: 12 events from 2027-01-15T07:00:11Z to 2027-01-15T08:00:11Z: "
        "… 2 3 4 5 6 7 8 9 10 11"
    )
    # As it was when the rule judged, and not as it is.
    assert [one.count for one in (await explained(made, "e0", "window")).kept] == [1, 1]


async def test_of_a_join_is_told_what_is_there_and_what_is_missing_until_when(
    made: Governed,
) -> None:
    await made.harness.publish(event(DATA, id="e1"))
    found = await explained(made, "e1", "join")
    assert (found.verdict, found.detail, found.key) == ("waiting", "waits for u", "k")
    there, missing = found.kept
    assert (there.name, [(one.source, one.id) for one in there.newest]) == ("t", [("/road", "e1")])
    assert not there.HasField("until_time")
    assert (missing.name, missing.count) == ("u", 0)
    assert missing.until_time.seconds == NOW_MS // 1_000 + 3_600
    assert kept_line(there) == "t is there: 1 event: e1"
    assert kept_line(missing) == "u is missing; it may come up to 2027-01-15T09:00:00Z"


async def test_who_may_not_see_what_a_rule_read_is_not_told_what_it_held(made: Governed) -> None:
    await made.govern(MINUTES | {"tenant": ["rules"]})
    await made.harness.publish(event(DATA, id="e1"))
    for rule in ("window", "join"):
        found = await explained(made, "e1", rule, PURPOSE)
        assert found.values_hidden
        assert (list(found.kept), found.key) == ([], "")


async def test_a_field_that_a_policy_hides_is_named_with_the_policy(made: Governed) -> None:
    await made.harness.publish(event(DATA, id="e1"))
    found = (await explained(made, "e1", "whole-event")).hidden_fields
    (hidden,) = [one for one in found if one.field == "subject"]
    assert (hidden.by, hidden.feed, hidden.purpose) == ("policy", "traffic", PURPOSE)
    assert hidden.since_time.ToMilliseconds() == NOW_MS
    assert hidden_line(hidden) == (
        "subject is hidden: the sharing policy of traffic does not grant it for Be on time. "
        "(in force since 2027-01-15T08:00:00Z)"
    )


async def test_a_consent_that_is_missing_or_was_withdrawn_is_named(made: Governed) -> None:
    key_for_operators = MINUTES | {
        "tenant": ["operators"], "applications": [], "purpose": "Help.", "fields": ["key"]
    }  # fmt: skip
    await made.govern(MINUTES | {"basis": "consent", "tenant": ["rules"]}, key_for_operators)
    await made.harness.publish(event(DATA, id="e1"))
    given = [
        await made.sharing.give(TENANT, subject="k", consumer=who, purpose=PURPOSE)
        for who in ("", "lamp")
    ]
    await made.harness.publish(event(DATA, id="e2"))
    made.harness.clock.now_ms += 5_000
    await made.sharing.withdraw(TENANT, "k", given[1].id)
    await made.harness.publish(event(DATA, id="e3"))

    async def hidden(name: str, purpose: str = "") -> list[pb.HiddenField]:
        found = (await explained(made, name, "window", purpose)).hidden_fields
        return [one for one in found if one.field == "/minutes"]

    async def said(name: str, purpose: str = "") -> list[tuple[str, str, str, int]]:
        return [
            (one.by, one.application, one.consent_id, one.since_time.ToMilliseconds())
            for one in await hidden(name, purpose)
        ]

    missing = [("consent", "", "", 0), ("consent", "lamp", "", 0)]
    assert await said("e1") == await said("e1", "Help.") == missing
    assert await said("e2") == await said("e2", "Help.") == []
    # Whom the event is about may be seen for one purpose alone, and so may what they withdrew.
    assert await said("e3", "Help.") == [("consent", "lamp", given[1].id, NOW_MS + 5_000)]
    assert await said("e3") == await said("e3", "Spy.") == [("consent", "lamp", "", 0)]
    (told,) = await hidden("e3", "Help.")
    assert hidden_line(told) == (
        f"/minutes is hidden: the user withdrew consent {given[1].id} to lamp at "
        "2027-01-15T08:00:05Z, for Be on time."
    )
