"""Two agents and a server as processes: an invitation is made, brought, accepted and joined by,
with the agent of either side killed (-9) at each point of its way. Nothing is lost, and
nothing doubled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from homeport.api.communication.v1 import (
    conversation_pb2,
    conversation_pb2_grpc,
    invite_pb2,
    invite_pb2_grpc,
    profile_pb2,
    profile_pb2_grpc,
)
from homeport.api.directory.v1 import organisation_pb2, organisation_pb2_grpc
from tests.support import servers
from tests.support.agent_processes import somebody_at, unit_agent

pytestmark = pytest.mark.slow
WAIT_S = 150.0  # what was asked for is seen to again after half a minute
REQUEST = bytes(range(16))


class AtHome:
    """An account's services at its unit."""

    def __init__(self, channel: grpc.aio.Channel, ticket: str) -> None:
        self.invites = invite_pb2_grpc.InviteServiceStub(channel)
        self.talks = conversation_pb2_grpc.ConversationServiceStub(channel)
        self.profiles = profile_pb2_grpc.ProfileServiceStub(channel)
        self.to: Any = {
            "metadata": (("authorization", f"Bearer {ticket}"),), "timeout": 60.0,
            "wait_for_ready": True,
        }  # fmt: skip

    async def listed(self) -> list[invite_pb2.Invite]:
        found = await self.invites.ListInvites(invite_pb2.ListInvitesRequest(), **self.to)
        return list(found.invites)

    async def said(self) -> list[str]:
        """All that its conversations have, in order of their texts."""
        found = await self.talks.ListConversations(
            conversation_pb2.ListConversationsRequest(), **self.to
        )
        texts: list[str] = []
        for one in found.conversations:
            asked = conversation_pb2.ListMessagesRequest(conversation=one.id)
            listed = await self.talks.ListMessages(asked, **self.to)
            texts += [message.content.text for message in listed.messages]
        return sorted(texts)


@asynccontextmanager
async def at_home(endpoint: str, ticket: str) -> AsyncIterator[AtHome]:
    async with grpc.aio.insecure_channel(endpoint) as channel:
        yield AtHome(channel, ticket)


async def until(found: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await found():  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.1)


async def group_of(server: str, owner: str) -> None:
    """Contoso, whose owner may invite to `launch`."""
    async with grpc.aio.insecure_channel(server) as channel:
        stub = organisation_pb2_grpc.OrganisationServiceStub(channel)
        contoso = {"organisation": "contoso", "name": "Contoso", "owners": [owner]}
        made = organisation_pb2.ApplyOrganisationRequest(organisation=contoso)
        await stub.ApplyOrganisation(made, timeout=60)
        member = {"organisation": "contoso", "account": owner, "active": True}
        await stub.SetMember(organisation_pb2.SetMemberRequest(member=member), timeout=60)
        group = {"organisation": "contoso", "group": "launch", "guests": True}
        await stub.ApplyGroup(organisation_pb2.ApplyGroupRequest(group=group), timeout=60)


@pytest.mark.parametrize(
    ("side", "label"),
    [
        ("inviter", "invite.kept.after"),
        ("inviter", "invite.asked.after"),
        ("inviter", "invite.brought.after"),
        ("invited", "invite.kept.after"),
        ("invited", "invite.asked.after"),
        ("invited", "invite.joined.after"),
    ],
)
async def test_an_invitation_comes_to_the_same_whoever_is_killed(
    tmp_path: Path, side: str, label: str
) -> None:
    state = (f"--state-dir={tmp_path / 'state'}", "--accounts")
    with ExitStack() as stack:
        (server,) = servers.start(stack, tmp_path, f"embedded:{tmp_path / 'store.db'}", 1)
        address = server.address

        def agent(unit: str, *, killed: bool = False) -> Any:
            return unit_agent(
                tmp_path, address, unit=unit, arguments=state,
                fault_point=f"{label}:1" if killed else "", killed_within_s=WAIT_S,
            )  # fmt: skip

        async with agent("dublin") as dublin, agent("virginia") as virginia:
            anna, annas = await somebody_at(address, "dublin")
            ben, bens = await somebody_at(address, "virginia")
            await group_of(address, anna)
            async with at_home(virginia, bens) as there:
                claim = profile_pb2.ClaimHandleRequest(handle="ben")
                await there.profiles.ClaimHandle(claim, **there.to)
            if side == "invited":
                async with at_home(dublin, annas) as here:
                    await _invited(here)
                async with at_home(virginia, bens) as there:
                    await until(lambda: _has(there, invite_pb2.INVITE_STATE_OPEN))
        dying = "dublin" if side == "inviter" else "virginia"
        ticket = annas if side == "inviter" else bens
        async with agent(dying, killed=True) as endpoint, at_home(endpoint, ticket) as killed:
            with suppress(grpc.aio.AioRpcError):
                await (_invited(killed) if side == "inviter" else _accepted(killed))
        async with (
            agent("dublin") as dublin, agent("virginia") as virginia,
            at_home(dublin, annas) as here, at_home(virginia, bens) as there,
        ):  # fmt: skip
            if side == "inviter":
                await until(lambda: _has(there, invite_pb2.INVITE_STATE_OPEN))
                await _accepted(there)
            await until(lambda: _has(there, invite_pb2.INVITE_STATE_ACCEPTED))
            await until(lambda: _has(here, invite_pb2.INVITE_STATE_ACCEPTED))
            joined = f"{ben} joined launch of contoso."
            await until(lambda: _says(here, [joined]))
            assert (await there.said()).count(joined) == 1
            assert len(await there.listed()) == 1


async def _invited(at: AtHome) -> None:
    request = invite_pb2.CreateInviteRequest(
        request_id=REQUEST, organisation="contoso", group="launch", identifier="@ben"
    )
    await at.invites.CreateInvite(request, **at.to)


async def _accepted(at: AtHome) -> None:
    (one,) = await at.listed()
    request = invite_pb2.AcceptInviteRequest(invitation=one.invitation)
    await at.invites.AcceptInvite(request, **at.to)


async def _has(at: AtHome, state: invite_pb2.InviteState.ValueType) -> bool:
    return [one.state for one in await at.listed()] == [state]


async def _says(at: AtHome, texts: list[str]) -> bool:
    return await at.said() == texts
