"""What of one unit invites to groups, built in one pass: its service, and the task that brings
invitations."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from control_plane.identity.introductions import Introduction
from control_plane.serving.server import Service
from deployment_units.agent.channels import UnitChannels
from deployment_units.agent.delivering import Delivering
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.conversations.card_checks import CardChecks
from deployment_units.services.directory.port import UnitDirectory
from deployment_units.services.gateway.agenda import Agenda
from deployment_units.services.invites.carrier import InviteCarrier
from deployment_units.services.invites.groups import Groups
from deployment_units.services.invites.letters import Letters
from deployment_units.services.invites.looking import InviteLooks
from deployment_units.services.invites.notices import DomainNoticeMessages
from deployment_units.services.invites.peers import InvitePeers
from deployment_units.services.invites.saying import InviteMessages
from deployment_units.services.invites.service import NAME, InviteService
from deployment_units.services.invites.steps import InviteSteps
from deployment_units.services.state.database import UnitDatabase
from homeport.api.communication.v1 import invite_pb2, invite_pb2_grpc


@dataclass(frozen=True, slots=True, kw_only=True)
class Inviting:
    """servicer: of the service; counts: steps, by what came of them; tasks: what has to run."""

    servicer: InviteService
    service: Service
    carrier: InviteCarrier
    counts: dict[str, int]
    tasks: Mapping[str, Callable[[], Coroutine[Any, Any, None]]]


def inviting(
    database: UnitDatabase,
    accounts: Accounts,
    callers: Callers,
    directory: UnitDirectory,
    messages: Delivering,
    checks: CardChecks,
    channels: UnitChannels,
    *,
    client: str,
    wall_ms: Callable[[], int],
    jitter: Callable[[], float],
) -> Inviting:
    """client: the address of the web client; empty: there is none. jitter: 0 to 1."""

    async def look(bringer: Introduction, request: invite_pb2.DeliverInviteRequest) -> None:
        await servicer.look(bringer, request)

    agenda = Agenda()
    database.on_commit.append(agenda.committed)
    saying = InviteMessages(messages.sender, checks)
    groups = Groups(accounts, directory, messages.sender)
    letters = Letters(
        channels=channels.all,
        host=channels.composer.host,
        number=channels.composer.number,
        client=client,
        new_key=lambda: secrets.token_bytes(32),
    )
    steps = InviteSteps(
        accounts, directory, InvitePeers(messages.peers, look), saying, letters, groups,
        wall_ms=wall_ms, jitter=jitter,
    )  # fmt: skip
    servicer = InviteService(
        database, accounts, callers, agenda, steps,
        InviteLooks(accounts, directory, saying, wall_ms=wall_ms), groups,
        DomainNoticeMessages(accounts, messages.sender, host=channels.composer.host),
        brings=messages.conversations.brings, wall_ms=wall_ms,
    )  # fmt: skip
    messages.conversations.clicking.taker = servicer
    carrier = InviteCarrier(database, agenda, steps, wall_ms=wall_ms)
    return Inviting(
        servicer=servicer,
        service=Service(
            add=invite_pb2_grpc.add_InviteServiceServicer_to_server,
            servicer=servicer, name=NAME, hot={},
        ),
        carrier=carrier,
        counts=steps.counts,
        tasks={"invitations": carrier.turns.run},
    )  # fmt: skip
