"""Presses, a third of them made twice, while the unit is stopped and opened again and what is
published is published without being told so: as many orders as distinct presses."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane.errors import Unavailable
from deployment_units.services.applications.port import CLICK_FEED
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import an_issuer
from tests.support.application_units import (
    ApplicationUnit,
    application_unit,
    offers_and_orders,
    until,
)
from tests.support.fakes.data_sharing import FakeDataSharing


async def press_all(
    unit: ApplicationUnit, card: bytes, presses: list[bytes], stopped: asyncio.Event
) -> set[bytes]:
    """Those that were answered before the unit stopped."""
    done: set[bytes] = set()
    for press in presses:
        if stopped.is_set():
            break
        request = pb.ClickRequest(message=card, action="more", press=press)
        await unit.conversations.Click(request, unit.by_ticket("anna"))
        done.add(press)
        await asyncio.sleep(0)
    return done


async def run(folder: Path, count: int, stops: list[int], seed: int) -> None:
    """stops: after how many looks the unit is stopped, each time it runs."""
    rng = random.Random(seed)
    sharing = FakeDataSharing({"roastery": "coffee"}, offers_and_orders)
    sharing.kept_though_failing = True
    issuer = an_issuer()
    presses = [rng.randbytes(16) for _ in range(count)]
    left = presses + rng.sample(presses, count * 3 // 10)
    rng.shuffle(left)
    card = b""
    for looks in [*stops, 0]:
        async with application_unit(folder, sharing, issuer=issuer) as unit:
            if not card:
                await unit.enter("anna", "ben", "roastery")
                await unit.write("anna", 1)
                card = (await unit.card("anna")).id
            stopped = asyncio.Event()
            sharing.failing = [Unavailable("away")] * rng.randrange(3)
            pressing = asyncio.create_task(press_all(unit, card, left, stopped))
            if looks:
                for _ in range(looks):
                    await asyncio.sleep(0)
                stopped.set()
                answered = await pressing
                left = [one for one in left if one not in answered or rng.random() < 0.2]
                continue
            await pressing

            async def ordered() -> bool:
                texts = [one.content.text for one in await all_of(unit)]
                return len({one for one in texts if one.startswith("ordered")}) == count

            await until(ordered, 60.0)
            texts = [one.content.text for one in await all_of(unit)]
            assert sorted(texts) == sorted(
                ["hello", "an offer", *(f"ordered {one}" for one in range(1, count + 1))]
            )
    assert sorted(one.id for one in sharing.of(CLICK_FEED)) == sorted(one.hex() for one in presses)


async def all_of(unit: ApplicationUnit) -> list[pb.Message]:
    found: list[pb.Message] = []
    more = True
    while more:
        ask = pb.ListMessagesRequest(
            conversation=b"conversation-one", page_size=100,
            after=found[-1].position if found else 0,
        )  # fmt: skip
        page = await unit.conversations.ListMessages(ask, unit.by_ticket("anna"))
        found += page.messages
        more = page.more
    return found


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(stops=st.lists(st.integers(1, 60), max_size=3), seed=st.integers(0, 9_999))
def test_as_many_orders_as_distinct_presses(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], seed: int
) -> None:
    asyncio.run(run(tmp_path_factory.mktemp("u"), 12, stops, seed))


async def test_a_hundred_presses_of_a_unit_that_stops_again_and_again(tmp_path: Path) -> None:
    await run(tmp_path / "u", 100, [40, 400, 900], 7)
