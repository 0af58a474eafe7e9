"""What rules and forecasts kept is dead at once where their memory begins anew, and is deleted bit
by bit."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest

from data_sharing.decisions.forgetting import CELLS_AT_ONCE, Forgetting
from data_sharing.decisions.suspended_memories import suspended_memories
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.sharing.policies import Memory
from tests.support.consenting_users import RULE, Governed, governed, policy
from tests.support.decisions_harness import event
from tests.support.rule_harness import TENANT

BY_ROAD = RULE.replace("feed: traffic}", "feed: traffic, key: event.data.road}").replace(
    "{over: 1h,", "{over: 1h, key: event.data.road,"
)
ROADS = 7
FORECAST = """
forecasts:
  - {forecast: f, feed: traffic, key: event.data.road, value: event.data.minutes,
     purpose: Be on time., readers: [lamp]}
"""
OF_ROADS = policy(fields=["/minutes", "/road", "key"])


def cells(made: Governed, kind: str = "rule") -> list[str]:
    """The keys at which something is kept."""
    found: list[tuple[str]] = made.harness.read(
        lambda db: db.execute(
            "SELECT key FROM cells WHERE kind = ? ORDER BY key", (kind,)
        ).fetchall()
    )
    return [key for (key,) in found]


async def pass_by(made: Governed, minutes: int = 1, *, user: str = "k", first: int = 0) -> None:
    """An event on each of the roads."""
    await made.harness.publish(
        *(
            event(
                {"minutes": minutes, "road": f"A{number}"}, id=f"{user}{first}-{number}", key=user
            )
            for number in range(ROADS)
        )
    )


def forgetting(made: Governed, at_once: int = 2) -> Forgetting:
    return Forgetting(made.harness.database, made.harness.worker, cells_at_once=at_once)


async def test_what_is_not_kept_by_the_user_is_dead_at_once_and_deleted_in_steps(
    tmp_path: Path,
) -> None:
    async with governed(tmp_path) as made:
        made.rules(BY_ROAD + FORECAST)
        await made.sharing.apply(TENANT, [OF_ROADS])
        (_, lamp), _ = await made.consent(), await made.consent("ben")
        await pass_by(made, 5)
        assert len(cells(made)) == len(cells(made, "forecast")) == ROADS
        await made.sharing.withdraw(TENANT, "k", lamp.id)
        assert len(cells(made)) == ROADS  # nothing is deleted yet, and nobody reads it
        await made.harness.publish(event({"minutes": 1, "road": "A3"}, id="b", key="ben"))
        assert made.settings[ROADS:] == [1]
        await made.sharing.apply(TENANT, [OF_ROADS])  # the same policy brings nothing back
        sweep, counts = forgetting(made), list[int]()
        while await sweep.step():
            counts.append(len(cells(made)) + len(cells(made, "forecast")))
        steps = [2 * ROADS, *counts]
        assert all(0 <= before - after <= 2 for before, after in itertools.pairwise(steps))
        assert (cells(made), cells(made, "forecast")) == (["A3"], ["A3"])
        assert not await sweep.step()
        await made.harness.publish(event({"minutes": 2, "road": "A3"}, id="c", key="ben"))
        assert made.settings[ROADS:] == [1, 3]


async def test_a_server_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        made.rules(BY_ROAD)
        await made.sharing.apply(TENANT, [OF_ROADS])
        (_, lamp), _ = await made.consent(), await made.consent("ben")
        await pass_by(made, 5)
        await made.sharing.withdraw(TENANT, "k", lamp.id)
        assert await forgetting(made).step()
        assert len(cells(made)) == ROADS - 2
    async with governed(tmp_path) as made:
        made.rules(BY_ROAD)
        await pass_by(made, 1, user="ben")  # before anything further is deleted
        assert set(made.settings[ROADS:]) == {1}
        sweep = forgetting(made)
        while await sweep.step():
            pass
        assert len(cells(made)) == ROADS  # of what was kept since


async def test_a_policy_that_comes_back_brings_nothing_back(tmp_path: Path) -> None:
    """Whatever of it is not deleted yet, or was kept before there was any."""
    narrower = policy(fields=["/minutes", "/road"], basis="contract")
    same = policy(fields=["/minutes", "/road", "key"], basis="contract")
    async with governed(tmp_path) as made:
        made.rules(BY_ROAD)
        for number, policies in enumerate((None, same, narrower, same, None)):
            if policies is not None:
                await made.sharing.apply(TENANT, [policies])
            elif number:
                await made.sharing.remove(TENANT, "traffic")
            await pass_by(made, 1, first=number)
        assert set(made.settings) == {1}
        sweep = forgetting(made, CELLS_AT_ONCE)
        assert await sweep.step()
        assert len(cells(made)) == ROADS
        await pass_by(made, 1, first=9)
        assert made.settings[-1] == 2


async def test_a_rule_that_is_suspended_meanwhile_has_forgotten_as_well(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        made.suspended = [Memory(TENANT, "rule", "r")]
        made.rules(RULE)
        await made.sharing.apply(TENANT, [policy()])
        _, lamp = await made.consent()
        await made.publish(5)
        made.rules("rules: []")
        await made.sharing.withdraw(TENANT, "k", lamp.id)
        await made.consent()
        made.rules(RULE)
        await made.publish(1)
        assert made.settings == [5, 1]
        made.rules("rules: []")
        assert await forgetting(made).step()
        assert cells(made) == []  # of what does not decide, nobody knows what is alive


async def test_which_memories_are_suspended_is_asked_by_name(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        names = [(TENANT, "forecast f"), ("other", "forecast g"), (TENANT, "gone@candidate")]
        found = suspended_memories(made.harness.database, names, TENANT)
        assert found == [Memory(TENANT, "forecast", "f")]


async def test_a_cell_that_cannot_be_read_is_deleted(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        made.rules(RULE)
        await made.publish()
        await made.harness.database.transact(
            lambda db: db.execute("UPDATE cells SET content = x'93' WHERE kind = 'rule'")
        )
        await made.sharing.apply(TENANT, [policy()])
        assert await forgetting(made).step()
        assert cells(made) == []


async def test_of_large_cells_a_step_takes_fewer(tmp_path: Path) -> None:
    large = msgspec.msgpack.encode("x" * 700_000)
    async with governed(tmp_path) as made:
        made.rules(RULE)

        def put(db: Any) -> None:
            rows = [(TENANT, "rule", "r", f"k{number}", large, None, "") for number in range(5)]
            db.executemany("INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

        await made.harness.database.transact(put)
        await made.sharing.apply(TENANT, [policy()])
        sweep, left = forgetting(made, CELLS_AT_ONCE), list[int]()
        while await sweep.step():
            left.append(len(cells(made)))
        assert left[:5] == [4, 3, 2, 1, 0]


async def test_a_worker_that_was_replaced_deletes_nothing(tmp_path: Path) -> None:
    from control_plane.errors import Conflict

    async with governed(tmp_path) as made:
        made.rules(RULE)
        await made.publish()
        await made.sharing.apply(TENANT, [policy()])
        sweep = forgetting(made)
        other = DecisionWorker(
            made.harness.database,
            None,
            wall_ms=made.harness.clock,  # type: ignore[arg-type]
        )
        await other.start()
        with pytest.raises(Conflict):
            await sweep.step()
        assert cells(made) == ["k"]
