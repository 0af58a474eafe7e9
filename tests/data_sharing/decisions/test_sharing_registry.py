"""Policies and consents of a worker: in order with the events, forgotten with what was kept."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from control_plane.errors import Conflict, NotFound, Refused
from data_sharing.decisions import sharing_tables
from data_sharing.feeds.log_tables import record_at
from data_sharing.sharing.consent import MOST_OF_SUBJECT
from data_sharing.sharing.policies import Memory
from tests.support.consenting_users import PURPOSE, RULE, governed, policy
from tests.support.decisions_harness import event
from tests.support.rule_harness import TENANT


async def test_withdrawn_consent_stops_the_next_decision_and_forgets(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        made.rules(RULE)
        await made.sharing.apply(TENANT, [policy()])
        await made.publish(1)
        assert made.settings == []
        _, lamp = await made.consent()
        await made.consent("ben")
        await made.publish(2)
        await made.publish(3)
        await made.publish(10, key="ben")
        assert made.settings == [2, 5, 10]
        await made.sharing.withdraw(TENANT, "k", lamp.id)
        await made.publish(4)
        assert made.settings == [2, 5, 10]
        await made.consent()
        await made.publish(5)  # nothing of before is in the window
        await made.publish(20, key="ben")  # another's is as it was
        assert made.settings == [2, 5, 10, 5, 30]


async def test_what_is_not_at_the_users_key_is_forgotten_for_all(tmp_path: Path) -> None:
    road = RULE.replace("feed: traffic}", "feed: traffic, key: '\"road\"'}")
    async with governed(tmp_path) as made:
        made.rules(road)
        await made.sharing.apply(TENANT, [policy()])
        (_, lamp), _ = await made.consent(), await made.consent("ben")
        await made.publish(1)
        await made.publish(2, key="ben")
        await made.sharing.withdraw(TENANT, "k", lamp.id)
        await made.publish(4, key="ben")
        assert made.settings == [1, 3, 4]


async def test_who_gives_and_withdraws_between_two_events_takes_nothing_from_others(
    tmp_path: Path,
) -> None:
    """Any user may do so with its own ticket, as often as its quota lets it."""
    road = RULE.replace("feed: traffic}", "feed: traffic, key: '\"road\"'}")
    async with governed(tmp_path) as made:
        made.rules(road)
        await made.sharing.apply(TENANT, [policy()])
        await made.consent("ben")
        await made.publish(2, key="ben")
        suspended = Memory(TENANT, "rule", "suspended")
        made.suspended = [suspended]
        before = made.harness.worker.rules.policies
        for one in await made.consent("mallory"):
            await made.sharing.withdraw(TENANT, "mallory", one.id)
        assert made.harness.worker.rules.policies is before
        await made.publish(4, key="ben")
        assert made.settings == [2, 6]


@pytest.mark.parametrize("mask", [{"prefix": 2}, "hash"])
async def test_what_is_kept_by_a_masked_name_is_forgotten_as_well(
    tmp_path: Path, mask: object
) -> None:
    by_user = RULE.replace("feed: traffic}", "feed: traffic, key: event.data.user}")
    by_user = by_user.replace("{over: 1h,", "{over: 1h, key: event.data.user,")
    masked = policy(fields=["/minutes"], masks={"/user": mask})
    async with governed(tmp_path) as made:
        made.rules(by_user)
        await made.sharing.apply(TENANT, [msgspec.structs.replace(masked, subject="/user")])
        _, lamp = await made.consent("anna")
        for number, minutes in enumerate((1, 2)):
            data = {"minutes": minutes, "user": "anna"}
            await made.harness.publish(event(data, id=f"u{number}"))
        assert made.settings == [1, 3]
        await made.sharing.withdraw(TENANT, "anna", lamp.id)
        await made.consent("anna")
        await made.harness.publish(event({"minutes": 4, "user": "anna"}, id="u3"))
        assert made.settings == [1, 3, 4]


async def test_an_event_that_is_decided_again_is_shown_by_no_later_consent(
    tmp_path: Path,
) -> None:
    """Nor one that waited for a paused rule: a consent is for what comes behind it."""
    async with governed(tmp_path) as made:
        made.rules(RULE)
        await made.sharing.apply(TENANT, [policy()])
        await made.publish(1)
        await made.consent()
        await made.publish(2)
        assert made.settings == [2]

        def again(db: sqlite3.Connection) -> None:
            worker = made.harness.worker
            for position in (1, 2):
                record = record_at(db, TENANT, position)
                assert record is not None
                worker.decide_waiting(db, record.event(), worker.rules, "r")
                worker.decide_again(db, record.event(), "r")

        await made.harness.database.transact(again)
        # The instruction of an event is one, whoever orders it again: the rule's window tells.
        await made.publish(10)
        assert made.settings[-1] == 2 * 3 + 10


async def test_an_estimate_of_a_user_who_withdraws_is_forgotten(tmp_path: Path) -> None:
    text = """
rules:
  - rule: r
    purpose: Be on time.
    watch: {traffic: {feed: traffic}}
    when: has(forecast.f.count)
    do: [{invoke: {application: lamp, action: blink, config: {times: forecast.f.count}}}]
forecasts:
  - {forecast: f, feed: traffic, value: event.data.minutes, purpose: Be on time., readers: [lamp]}
"""
    async with governed(tmp_path) as made:
        made.rules(text)
        await made.sharing.apply(TENANT, [policy()])
        _, lamp = await made.consent()
        await made.publish()
        await made.publish()
        await made.sharing.withdraw(TENANT, "k", lamp.id)
        await made.consent()
        await made.publish()
        assert made.settings == [1, 2, 1]


async def test_a_consent_holds_for_events_between_it_and_its_end(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        made.rules(RULE)
        await made.sharing.apply(TENANT, [policy()])
        await made.publish()
        given, _ = await made.consent()
        await made.publish()
        ended = await made.sharing.withdraw(TENANT, "k", given.id)
        assert ended == await made.sharing.withdraw(TENANT, "k", given.id)
        assert [ended.holds_at(position) for position in (1, 2, 3)] == [False, True, False]
        at = made.harness.read(lambda db: sharing_tables.consents_at(db, TENANT, "k", 2))
        assert {one.consumer for one in at} == {"", "lamp"}


async def test_the_same_consent_again_is_the_one_there_is(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        assert await made.consent() == await made.consent()
        with pytest.raises(NotFound):
            await made.sharing.withdraw(TENANT, "ben", "k-1")
        with pytest.raises(NotFound):
            await made.sharing.withdraw("other", "k", "k-1")


async def test_consents_of_a_user_are_bounded(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        for number in range(MOST_OF_SUBJECT):
            await made.sharing.give(TENANT, subject="k", consumer="", purpose=f"{number}")
        with pytest.raises(Refused, match="withdraw some"):
            await made.sharing.give(TENANT, subject="k", consumer="", purpose="one more")


async def test_a_policy_outlives_its_worker_and_goes_when_it_is_removed(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        await made.sharing.apply(TENANT, [policy()])
    async with governed(tmp_path) as made:
        made.rules(RULE)
        await made.publish()
        assert made.settings == []
        assert (await made.sharing.remove(TENANT, "traffic")).feed == "traffic"
        await made.publish()
        assert made.settings == [1]
        with pytest.raises(NotFound):
            await made.sharing.remove(TENANT, "traffic")


async def test_a_policy_that_could_not_be_written_is_not_in_force(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        made.rules(RULE)
        broken = policy(), msgspec.structs.replace(policy(), feed=None)  # type: ignore[arg-type]
        with pytest.raises(Exception, match=r"sharing_policies\.feed"):
            await made.sharing.apply(TENANT, broken)
        await made.publish()
        assert made.settings == [1]


async def test_who_was_shown_what_is_counted_by_day(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        made.rules(RULE)
        await made.sharing.apply(TENANT, [policy(basis="contract")])
        await made.publish()
        await made.publish()
        rows = made.harness.read(
            lambda db: sharing_tables.read_page(db, TENANT, (0, "", "", "", ""), 100)
        )
        assert [(name.reader, name.purpose, name.field, count) for name, count in rows] == [
            ("lamp", PURPOSE, "/minutes", 2),
            ("lamp", PURPOSE, "key", 2),
            ("tenant/rules", PURPOSE, "/minutes", 2),
            ("tenant/rules", PURPOSE, "key", 2),
        ]


async def test_an_id_that_another_consent_has_takes_its_place_from_nobody(tmp_path: Path) -> None:
    """What a consent is called may come from another server, and so from whoever calls."""
    async with governed(tmp_path) as parts:
        (first, _) = await parts.consent("anna")
        parts.sharing._new_id = lambda: first.id
        with pytest.raises(Conflict, match="another consent"):
            await parts.sharing.give(TENANT, subject="ben", consumer="", purpose=PURPOSE)
        kept = parts.harness.database.read(lambda db: sharing_tables.consent(db, TENANT, first.id))
        assert kept == first
