"""What of one unit brings messages to others, built in one pass: the way in for messages, the
outbox, and the connections to other units."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from grpc import aio

from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import OutgoingChannel
from deployment_units.services.conversations.arrivals import Arrivals
from deployment_units.services.conversations.bring_budget import BringBudget
from deployment_units.services.conversations.card_checks import CardChecks
from deployment_units.services.conversations.clicking import PressDoors
from deployment_units.services.conversations.send_budget import SendBudget
from deployment_units.services.conversations.service import ConversationService
from deployment_units.services.directory.port import UnitDirectory
from deployment_units.services.gateway.activity import ClientActivity
from deployment_units.services.gateway.agenda import Agenda
from deployment_units.services.gateway.carriers import Carriers
from deployment_units.services.gateway.carrying_out import CarryingOut
from deployment_units.services.gateway.composing import Composer
from deployment_units.services.gateway.grpc_peers import GrpcPeers
from deployment_units.services.gateway.handing_over import HandingOver
from deployment_units.services.gateway.health import ChannelHealth
from deployment_units.services.gateway.homes import Homes
from deployment_units.services.gateway.measures import OutboxMeasures
from deployment_units.services.gateway.outbox import Outbox
from deployment_units.services.gateway.plans import leads_out
from deployment_units.services.gateway.receipts import Telling
from deployment_units.services.gateway.recipients import Recipients
from deployment_units.services.gateway.sending import MessageSender
from deployment_units.services.gateway.service import DeliveryService
from deployment_units.services.gateway.waiting import OutboxLimits
from deployment_units.services.state.database import UnitDatabase


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivering:
    """sender: the one way in for messages; conversations, deliveries: servicers; tasks: what has to
    run, by name; peers, close: its connections, and what ends them; due: says inside a
    transaction that an owner has something to do at a time, Unix ms; measures: what is told of
    deliveries; activity: of clients."""

    sender: MessageSender
    peers: GrpcPeers
    conversations: ConversationService
    deliveries: DeliveryService
    due: Callable[[int, int], None]
    measures: OutboxMeasures
    activity: ClientActivity
    tasks: Mapping[str, Callable[[], Coroutine[Any, Any, None]]]
    close: Callable[[], Awaitable[None]]


def delivering(
    unit_id: str,
    database: UnitDatabase,
    accounts: Accounts,
    callers: Callers,
    directory: UnitDirectory,
    *,
    arrivals: Arrivals,
    checks: CardChecks,
    press_doors: PressDoors,
    connect: Callable[[str], aio.Channel],
    wall_ms: Callable[[], int],
    jitter: Callable[[], float],
    channels: Mapping[Channel, OutgoingChannel],
    composer: Composer,
    limits: OutboxLimits,
) -> Delivering:
    """connect: opens a channel to another unit; jitter: 0 to 1, new at each call; channels: over
    which this unit sends, with what composer makes of a message; limits: of what waits."""
    agenda = Agenda()
    measures = OutboxMeasures()
    activity = ClientActivity(arrivals.is_followed)
    health = ChannelHealth()
    recipients = Recipients(channels, activity, health.down)
    sender = MessageSender(
        accounts,
        arrivals,
        agenda,
        wall_ms=wall_ms,
        routed=recipients.has_more_than_one_way,
        shown=activity.shown,
        limits=limits,
    )
    database.on_commit.append(sender.committed)
    conversations = ConversationService(
        accounts,
        callers,
        arrivals,
        sender,
        checks,
        directory=directory,
        press_doors=press_doors,
        budget=SendBudget(clock=time.monotonic),
        brings=BringBudget(clock=time.monotonic),
        wall_ms=wall_ms,
    )
    conversations.sends_to = lambda uri: leads_out(uri, channels)
    deliveries = DeliveryService(accounts, callers, agenda, recipients, wall_ms=wall_ms)
    peers = GrpcPeers(
        unit_id,
        Homes(directory, wall=time.time),
        connect=connect,
        read_introduction=callers.introduction,
        take_in=conversations.take_in,
        hear=deliveries.hear,
        take_press=conversations.take_press,
    )
    carriers = Carriers(
        HandingOver(database, accounts, peers, wall_ms=wall_ms, jitter=jitter, measures=measures),
        CarryingOut(
            accounts,
            channels,
            composer,
            recipients,
            health,
            wall_ms=wall_ms,
            jitter=jitter,
            measures=measures,
        ),
    )
    telling = Telling(database, accounts, peers, wall_ms=wall_ms, jitter=jitter)
    outbox = Outbox(database, agenda, carriers, telling.tell, wall_ms=wall_ms)
    return Delivering(
        sender=sender,
        peers=peers,
        conversations=conversations,
        deliveries=deliveries,
        due=agenda.hint,
        measures=measures,
        activity=activity,
        tasks={"outbox": outbox.turns.run, "what waits": lambda: measures.run(database)},
        close=peers.close,
    )
