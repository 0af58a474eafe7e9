"""BringBudget: a unit that brings too much waits, and nobody else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.identity.introductions import Introduction
from control_plane.quotas.token_buckets import Rate
from deployment_units.services.conversations.bring_budget import (
    BringBudget,
    BringRates,
    TooMuchBrought,
)
from deployment_units.services.conversations.press_judging import NothingPressed
from deployment_units.services.conversations.service import ConversationService
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT, account_unit
from tests.support.linked_units import enter, linked_units

RATES = BringRates(
    account_to_account=Rate(per_s=1.0, burst=2.0),
    unit_to_account=Rate(per_s=1.0, burst=4.0),
    unit=Rate(per_s=1.0, burst=6.0),
)


def brought(by: str, to: str = "anna", unit: str = "paris", tenant: str = TENANT) -> Introduction:
    return Introduction(
        tenant=tenant, account=to, epoch=1, viewer=by, from_unit=unit, expires_at=0.0
    )


def test_one_sender_waits_and_its_unit_goes_on() -> None:
    now = [0.0]
    budget = BringBudget(clock=lambda: now[0], rates=RATES)
    for _ in range(2):
        budget.take(brought("mallory"))
    for _ in range(50):  # and takes nothing from others, however often it tries
        with pytest.raises(TooMuchBrought, match="this sender") as refused:
            budget.take(brought("mallory"))
    assert refused.value.retry_after_s == pytest.approx(1.0)
    budget.take(brought("mallory", to="ben"))
    budget.take(brought("carla"))
    budget.take(brought("mallory", tenant="other"))
    now[0] = 1.0
    budget.take(brought("mallory"))


def test_a_unit_with_many_senders_floods_no_account_and_not_this_unit() -> None:
    budget = BringBudget(clock=lambda: 0.0, rates=RATES)
    for number in range(4):
        budget.take(brought(f"m{number}"))
    with pytest.raises(TooMuchBrought, match="this unit has brought the account"):
        budget.take(brought("m4"))
    for number in range(2):
        budget.take(brought("m4", to=f"ben{number}"))
    with pytest.raises(TooMuchBrought, match="this unit has brought too much"):
        budget.take(brought("m4", to="carla"))
    budget.take(brought("m0", unit="rome"))  # another one's


async def test_what_is_refused_was_not_looked_at(tmp_path: Path) -> None:
    async with account_unit(tmp_path) as unit:
        service = ConversationService(
            unit.accounts, unit.callers, unit.arrivals, unit.sender, unit.checks,
            brings=BringBudget(clock=lambda: 0.0, rates=RATES), wall_ms=unit.wall_ms,
        )  # fmt: skip

        async def deliver(number: int) -> None:
            request = pb.DeliverRequest(
                conversation=b"conversation-one", id=number.to_bytes(16, "big"), members=["anna"],
                content=pb.Content(text="hello", card="no card" if number > 2 else ""),
            )  # fmt: skip
            await service.Deliver(request, unit.by_introduction("anna", "mallory"))

        await deliver(1)
        await deliver(2)
        with pytest.raises(TooMuchBrought):
            await deliver(3)


async def test_presses_are_of_the_same_budget_as_messages(tmp_path: Path) -> None:
    async with account_unit(tmp_path) as unit:
        service = ConversationService(
            unit.accounts, unit.callers, unit.arrivals, unit.sender, unit.checks,
            brings=BringBudget(clock=lambda: 0.0, rates=RATES), wall_ms=unit.wall_ms,
        )  # fmt: skip

        async def press(by: str) -> None:
            request = pb.DeliverPressRequest(
                message=b"m" * 16, action="order", revision=1, press=b"p" * 16
            )
            await service.DeliverPress(request, unit.by_introduction("anna", by))

        for _ in range(2):
            with pytest.raises(NothingPressed):
                await press("mallory")
        with pytest.raises(TooMuchBrought):
            await press("mallory")
        with pytest.raises(TooMuchBrought):
            await service.Deliver(pb.DeliverRequest(), unit.by_introduction("anna", "mallory"))
        with pytest.raises(NothingPressed):
            await press("carla")


async def test_the_other_unit_keeps_what_was_too_much_and_brings_it_later(tmp_path: Path) -> None:
    async with linked_units(tmp_path, "london", "paris") as (london, paris):
        await enter(london, "anna")
        await enter(paris, "ben")
        paris.unit.conversations.brings = BringBudget(
            clock=lambda: paris.unit.now,
            rates=BringRates(account_to_account=Rate(per_s=0.05, burst=2.0)),
        )
        for number in range(1, 5):
            await london.send("anna", number, f"{number}", "ben")
        await london.settled()
        assert [text for _, text in await paris.read("ben")] == ["1", "2"]
        await london.pass_time(19.0)  # as long as the answer said, and not sooner
        assert len(await paris.read("ben")) == 2
        for _ in range(4):
            await london.pass_time(21.0)
        assert [text for _, text in await paris.read("ben")] == ["1", "2", "3", "4"]
        assert set((await london.deliveries_of("anna", 4)).values()) == {"HANDED_OVER"}
