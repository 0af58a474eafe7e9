"""Every way in which a reader could learn a field that a sharing policy hides from it: none leads
there. The field has a text and a number that occur nowhere else, and are looked for everywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from data_sharing.api.redaction import NOT_SHOWN
from data_sharing.decisions import sharing_tables
from data_sharing.instruction import OUTCOME_FEED
from homeport.api.datasharing.v1 import decision_pb2 as pb
from tests.support.datasharing_callers import OPERATOR
from tests.support.decisions_harness import event
from tests.support.governed_feed import (
    DATA,
    MINUTES,
    NUMBER,
    PURPOSE,
    SECRETS,
    TEXT,
    Governed,
    governed_feed,
    kept_besides_events,
)
from tests.support.rule_harness import TENANT


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Governed]:
    async with governed_feed(tmp_path) as governed:
        yield governed


async def test_nothing_that_is_kept_or_sent_has_a_hidden_field(made: Governed) -> None:
    """Cells of windows, joins, debounces and forecasts, instructions, explanations, errors."""
    await made.harness.publish(
        event(DATA, id="e1"), event({"frost": True}, id="w1", feed="weather")
    )
    fired = {one.rule for one in made.harness.decisions()}
    assert {"whole-event", "join"} <= fired
    assert fired.isdisjoint({"condition", "prefix", "greater", "no-purpose", "own-purpose"})
    assert made.harness.letters()
    kept = kept_besides_events(made.harness)
    assert b"minutes" in kept
    assert [one for one in SECRETS if one in kept] == []
    told = await made.told()
    assert TEXT not in told
    assert str(NUMBER) not in told
    assert "hidden_fields" in told


async def test_an_outcome_does_not_say_what_an_application_makes_of_it(made: Governed) -> None:
    await made.harness.publish(event(DATA, id="e1"))
    await made.perform(f'"{TEXT}"')
    outcomes = [one for one in await made.tail() if one.type == OUTCOME_FEED]
    assert outcomes
    assert not [one for one in outcomes if TEXT.encode() in one.content]
    fired = [one for one in made.harness.decisions() if one.rule == "of-outcome"]
    assert fired
    assert not [one for one in fired if TEXT in str(one)]


@pytest.mark.parametrize(
    ("application", "purpose"),
    [
        pytest.param("heating", "", id="an-application-for-what-its-manifest-says"),
        pytest.param("", PURPOSE, id="an-operator"),
        pytest.param("", "", id="an-operator-for-no-purpose"),
        pytest.param("", "Spy.", id="an-operator-for-another-purpose"),
    ],
)
async def test_who_reads_the_feed_gets_what_is_granted(
    made: Governed, application: str, purpose: str
) -> None:
    await made.harness.publish(event(DATA, id="e1"))
    records = [one for one in await made.tail(application, purpose) if one.type == "traffic"]
    shown = purpose == PURPOSE or bool(application)
    assert [one.content for one in records] == ([b'{"minutes":50}'] if shown else [])


async def test_what_is_tailed_and_explained_is_counted_as_it_is_shown(made: Governed) -> None:
    await made.harness.publish(event(DATA, id="e1", key="anna"), event(DATA, id="e2", key="ben"))
    at_first = reads(made)
    assert {reader for reader, *_ in at_first} == {"lamp", "tenant/rules"}
    await made.tail("heating")
    await made.tail("heating", key="anna")
    await made.tail("roads")  # its own feed
    await made.tail("", "Spy.")  # nothing
    request = pb.ExplainDecisionRequest(event=pb.EventName(position=1), purpose=PURPOSE)
    await made.decisions.ExplainDecision(request, OPERATOR)
    new = [one for one in reads(made) if one not in at_first]
    assert new == [
        ("heating", PURPOSE, "/minutes", 3),
        ("heating", PURPOSE, "key", 3),
        ("tenant/operators", PURPOSE, "/minutes", 1),
        ("tenant/operators", PURPOSE, "key", 1),
    ]


def reads(made: Governed) -> list[tuple[str, str, str, int]]:
    rows = made.harness.read(
        lambda db: sharing_tables.read_page(db, TENANT, (0, "", "", "", ""), 100)
    )
    return [(name.reader, name.purpose, name.field, events) for name, events in rows]


async def test_the_producer_reads_its_own_feed_whole(made: Governed) -> None:
    await made.harness.publish(event(DATA, id="e1"))
    (record,) = await made.tail("roads")
    assert TEXT.encode() in record.content


@pytest.mark.parametrize(
    ("application", "purpose", "expected"),
    [
        pytest.param("roads", PURPOSE, [b'{"minutes":50}'], id="the-producer-for-a-purpose"),
        pytest.param("roads", "", [], id="the-producer"),
        pytest.param("heating", "", [b'{"minutes":50}'], id="what-both-may-see"),
    ],
)
async def test_an_operator_who_names_an_application_sees_no_more_than_operators(
    made: Governed, application: str, purpose: str, expected: list[bytes]
) -> None:
    await made.harness.publish(event(DATA, id="e1"))
    records = await made.tail(application, purpose, by_operator=True)
    assert [one.content for one in records if one.type == "traffic"] == expected
    await made.govern(MINUTES | {"tenant": ["rules"]})
    assert await made.tail(application, purpose, by_operator=True) == []
    assert await made.tail(application, purpose)


async def test_a_consent_is_for_what_comes_behind_it(made: Governed) -> None:
    """Whoever looks back sees nothing of before it was given."""
    await made.govern(MINUTES | {"basis": "consent"})
    await made.harness.publish(event(DATA, id="e1"))
    for who in ("", "heating"):
        await made.sharing.give(TENANT, subject="k", consumer=who, purpose=PURPOSE)
    await made.harness.publish(event(DATA, id="e2"))
    for whose in (("heating", ""), ("", PURPOSE)):
        records = await made.tail(*whose)
        assert [one.id for one in records if one.type == "traffic"] == ["e2"]


async def test_whose_an_event_is_is_not_learnt_by_asking_for_a_key(made: Governed) -> None:
    await made.govern(MINUTES | {"fields": ["/minutes"]})
    await made.harness.publish(event(DATA, id="e1", key="anna"))
    assert await made.tail("heating", key="anna") == []
    (record,) = await made.tail("heating")
    assert record.key != "anna"
    assert await made.tail("heating", key=record.key) == [record]
    assert b"anna" not in kept_besides_events(made.harness)


async def test_what_operators_may_not_see_they_are_not_told_of_decisions(made: Governed) -> None:
    """Minutes are for the rules and the lamp; operators hear that something was decided."""
    await made.govern(MINUTES | {"tenant": ["rules"]})
    data = {"minutes": NUMBER}
    await made.harness.publish(event(data, id="e1"))
    await made.perform(str(NUMBER))
    assert made.harness.instructions()[0].instruction.configuration["all"] == data
    told = await made.told()
    assert str(NUMBER) not in told
    assert NOT_SHOWN in told
    assert "values_hidden: true" in told
    assert "event_hidden: true" in told
    assert [one for one in await made.tail(purpose=PURPOSE) if one.type == "traffic"] == []


async def test_consent_of_operators_does_not_open_decisions(made: Governed) -> None:
    """Whose they are is not known there: a grant has to rest on something else."""
    await made.govern(
        MINUTES | {"tenant": ["rules"]},
        MINUTES | {"tenant": ["operators"], "basis": "consent"},
    )
    await made.sharing.give(TENANT, subject="k", consumer="", purpose=PURPOSE)
    await made.harness.publish(event({"minutes": NUMBER}, id="e1"))
    explained = await made.decisions.ExplainDecision(
        pb.ExplainDecisionRequest(event=pb.EventName(position=1), purpose=PURPOSE), OPERATOR
    )
    assert explained.event_json == f'{{"minutes":{NUMBER}}}'
    assert all(not one.config_json.count(str(NUMBER)) for one in explained.instructions)


async def test_what_was_decided_before_a_policy_came_is_covered_by_it(made: Governed) -> None:
    await made.sharing.remove(TENANT, "traffic")
    await made.harness.publish(event(DATA, id="e1"), event(DATA, id="e2"))
    assert TEXT in await made.told()
    await made.govern(MINUTES)
    assert TEXT not in await made.told()


async def test_samples_are_the_callers_own_and_kept_events_are_read_like_a_feed(
    made: Governed,
) -> None:
    """`rules test` and backtests go by what whoever runs them may tail."""
    await made.harness.publish(event(DATA, id="e1"))
    (record,) = [one for one in await made.tail(purpose=PURPOSE) if one.type == "traffic"]
    assert record.event().data == {"minutes": 50}
    assert record.attributes == b""
