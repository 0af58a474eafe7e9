"""SendBudget: who sends too much waits, and nobody else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.errors import NotFound
from control_plane.quotas.token_buckets import Rate
from deployment_units.services.conversations.send_budget import SendBudget, TooMuchSent
from deployment_units.services.conversations.service import ConversationService
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import account_unit


def test_who_sends_too_much_waits_and_nobody_else() -> None:
    now = [0.0]
    budget = SendBudget(clock=lambda: now[0], rate=Rate(per_s=1.0, burst=10.0))
    budget.take("talk", "anna", 6)
    with pytest.raises(TooMuchSent) as refused:
        budget.take("talk", "anna", 6)
    assert refused.value.retry_after_s == pytest.approx(2.0)
    budget.take("talk", "ben", 6)
    budget.take("other", "anna", 6)
    now[0] = 2.0
    budget.take("talk", "anna", 6)
    with pytest.raises(TooMuchSent):
        budget.take("talk", "anna", 0)  # the least is one


async def test_each_member_costs_also_where_none_is_named_again(tmp_path: Path) -> None:
    async with account_unit(tmp_path) as unit:
        service = ConversationService(
            unit.accounts, unit.callers, unit.arrivals, unit.sender, unit.checks,
            budget=SendBudget(clock=lambda: 0.0, rate=Rate(per_s=1.0, burst=100.0)),
            wall_ms=unit.wall_ms,
        )  # fmt: skip

        async def send(number: int, members: list[str]) -> None:
            request = pb.SendMessageRequest(
                conversation=b"conversation-one", id=number.to_bytes(16, "big"),
                members=members, content=pb.Content(text="hello"),
            )  # fmt: skip
            await service.SendMessage(request, unit.by_ticket("mallory"))

        await send(1, [f"mailto:p{one}@mail.example" for one in range(40)])
        await send(2, [])
        with pytest.raises(TooMuchSent):
            await send(3, [])


async def test_a_press_costs_as_a_message_to_one_does(tmp_path: Path) -> None:
    async with account_unit(tmp_path) as unit:
        service = ConversationService(
            unit.accounts, unit.callers, unit.arrivals, unit.sender, unit.checks,
            budget=SendBudget(clock=lambda: 0.0, rate=Rate(per_s=1.0, burst=2.0)),
            wall_ms=unit.wall_ms,
        )  # fmt: skip
        request = pb.ClickRequest(message=bytes(16), action="yes", press=bytes(16))
        for refused in (NotFound, NotFound, TooMuchSent):
            with pytest.raises(refused):
                await service.Click(request, unit.by_ticket("mallory"))
