"""What one unit keeps of its clients, built from its settings: files of a service, nothing beyond
the process, or accounts in a database, with the services that stand on it."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpc import aio

from control_plane.errors import Refused
from control_plane.identity.admission import TicketVerifier
from control_plane.serving.server import Service
from deployment_units.agent.applications import applications
from deployment_units.agent.channels import channels_of
from deployment_units.agent.delivering import delivering
from deployment_units.agent.inviting import Inviting, inviting
from deployment_units.agent.registration import Registration
from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.telephony import UnitTelephony, telephony
from deployment_units.agent.web_settings import address_of, client_of
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.accounts.change_budget import ChangeBudget
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.accounts.staying import Home, Staying
from deployment_units.services.applications import kept as applications_kept
from deployment_units.services.applications.agent import ApplicationAgent
from deployment_units.services.applications.handing_on import HandingOn
from deployment_units.services.channels import mail_kept, message_links, push_kept, text_kept
from deployment_units.services.contacts import book
from deployment_units.services.conversations import card_links, presses
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations.answering import AnswerPresses
from deployment_units.services.conversations.arrivals import Arrivals
from deployment_units.services.conversations.card_checks import CardChecks
from deployment_units.services.conversations.originals import find_original
from deployment_units.services.conversations.service import NAME as CONVERSATIONS
from deployment_units.services.device_graph import kept as devices
from deployment_units.services.device_graph.capture import SynStamps
from deployment_units.services.device_graph.service import NAME as DEVICES
from deployment_units.services.device_graph.service import DeviceService
from deployment_units.services.directory.port import WatchedDirectory
from deployment_units.services.gateway import kept as gateway
from deployment_units.services.gateway.measures import OutboxMeasures
from deployment_units.services.gateway.peer_names import PeerNames
from deployment_units.services.gateway.service import NAME as DELIVERIES
from deployment_units.services.gateway.waiting import OutboxLimits
from deployment_units.services.identities import kept as identities
from deployment_units.services.identities.proved_domains import ProvedDomains
from deployment_units.services.identities.service import NAME as IDENTITIES
from deployment_units.services.identities.service import IdentityService
from deployment_units.services.invites import kept as invites_kept
from deployment_units.services.profiles import kept as profiles
from deployment_units.services.profiles.name_follower import NameFollower
from deployment_units.services.profiles.naming import Naming
from deployment_units.services.profiles.service import NAME as PROFILES
from deployment_units.services.profiles.service import ProfileService
from deployment_units.services.state.accounts import MAX_ACCOUNT_BYTES, AccountState
from deployment_units.services.state.database import FILE, UnitDatabase
from deployment_units.services.state.folder import FolderState
from deployment_units.services.state.memory import MemoryState
from deployment_units.services.state.owners import Owner
from deployment_units.services.state.port import ClientState
from deployment_units.services.state.stream import FRAME_BYTES
from deployment_units.services.telephony import kept as telephony_kept
from deployment_units.services.web.card_confirmations import CardConfirmations, NewHome
from deployment_units.services.web.message_pages import MessagePages
from homeport.api.communication.v1 import (
    conversation_pb2_grpc,
    delivery_pb2_grpc,
    device_pb2_grpc,
    identity_pb2_grpc,
    profile_pb2_grpc,
)

if TYPE_CHECKING:
    from deployment_units.agent.mail import UnitMail
    from deployment_units.services.telephony.sip.call_server_process import CallServerProcess

PARTS = (
    applications_kept.PART,
    book.PART,
    card_links.PART,
    conversations.PART,
    devices.PART,
    gateway.PART,
    identities.PART,
    invites_kept.PART,
    mail_kept.PART,
    message_links.PART,
    presses.PART,
    profiles.PART,
    push_kept.PART,
    telephony_kept.PART,
    text_kept.PART,
)


async def _nothing() -> None:
    """Nothing is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitKeeping:
    """services: that stand on it; callers: theirs, None where there are none; tasks: what has to
    run for it, by name; close: ends it, once nobody is served any more; mail: takes mail in; None:
    nobody does; applications: acts for accounts of such; confirmations, message_pages: stand behind
    the links that it sends; outbox: what is told of its deliveries; stamps: of connections to its
    HTTP port; devices: matches browsers with devices; inviting: to groups; telephony: passes calls
    and texts on; identities: suggests as whom to write."""

    state: ClientState
    services: tuple[Service, ...] = ()
    callers: Callers | None = None
    tasks: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=dict)
    close: Callable[[], Awaitable[None]] = _nothing
    mail: UnitMail | None = None
    applications: ApplicationAgent | None = None
    confirmations: CardConfirmations | None = None
    message_pages: MessagePages | None = None
    outbox: OutboxMeasures | None = None
    stamps: SynStamps | None = None
    devices: DeviceService | None = None
    inviting: Inviting | None = None
    telephony: UnitTelephony | None = None
    identities: IdentityService | None = None
    call_server: CallServerProcess | None = None


class Whereabouts:
    """Where a unit's accounts are at home, as it was told: those that left it are departures, which
    a unit that is registered hears of at once. registration: set as soon as there is one."""

    def __init__(self, verifier: TicketVerifier) -> None:
        self._verifier = verifier
        self.registration: Registration | None = None

    def __call__(self, owner: Owner) -> Home:
        if self.registration is None or not self.registration.registered.is_set():
            return Home.UNKNOWN
        departed = self._verifier.departures.find(owner.tenant, owner.account)
        if departed is not None and departed.ends(owner.epoch, 0, owner.first_ms):
            return Home.ELSEWHERE
        return Home.HERE

    def moved(self, tenant: str, account: str, resident: Resident | None) -> str | None:
        """The unit where an account is at home since it left; empty: it has none any more; None: it
        is not known to have left. resident: as it lives here, if it does."""
        departed = self._verifier.departures.find(tenant, account)
        if departed is None:
            return None
        if resident is not None and not departed.ends(resident.epoch, 0, resident.first_ms):
            return None
        return departed.unit_id


def keeping(
    settings: AgentSettings,
    unit_id: str,
    verifier: TicketVerifier,
    whereabouts: Whereabouts,
    directory: WatchedDirectory,
    connect: Callable[[str], aio.Channel] = aio.insecure_channel,
    *,
    jitter: Callable[[], float] = random.random,
) -> UnitKeeping:
    """What the unit keeps, opened. verifier: of its tickets; connect: to other units; jitter: 0 to
    1, new at each call. Raises Unavailable where its folder cannot be used; Refused where it keeps
    something else, or is somebody else's."""
    folder = settings.state_dir / unit_id if settings.state_dir else None
    if folder is None:
        return UnitKeeping(state=MemoryState())
    if not settings.accounts:
        _refuse_accounts(folder)
        return UnitKeeping(state=FolderState(folder))
    database = UnitDatabase(folder, PARTS, monotonic=time.monotonic)
    # What is kept here has to be taken elsewhere, whole.
    most_bytes = min(MAX_ACCOUNT_BYTES, max(settings.max_state_bytes - FRAME_BYTES, 0))
    state = AccountState(database, wall_ms=wall_ms, most_bytes=most_bytes)
    staying = Staying(database, whereabouts, wall_ms=wall_ms)
    accounts = Accounts(database, wall_ms=wall_ms, most_bytes=most_bytes)
    changes = ChangeBudget(clock=time.monotonic)
    callers = Callers(unit_id, verifier, wall=time.time, changes=changes)
    naming = Naming(
        accounts, database, directory, wall_ms=wall_ms, new_id=lambda: secrets.token_hex(16)
    )
    follower = NameFollower(naming, directory, database, clock=time.monotonic, jitter=jitter)
    arrivals, checks = Arrivals(), CardChecks()
    answering = applications(
        settings, database, accounts, checks, arrivals,
        lambda db, owner, resident, message: messages.sender.send(db, owner, resident, message),
    )  # fmt: skip
    channels = channels_of(settings, unit_id, checks, wall_ms=wall_ms, jitter=jitter)
    messages = delivering(
        unit_id, database, accounts, callers, directory, arrivals=arrivals, checks=checks,
        press_doors=answering.agent, connect=connect, wall_ms=wall_ms, jitter=jitter,
        channels=channels.all, composer=channels.composer,
        limits=OutboxLimits(
            of_account=settings.outbox_account_limit, of_tenant=settings.outbox_tenant_limit
        ),
    )  # fmt: skip
    presses_in_words = AnswerPresses(accounts, messages.conversations.clicking, checks)
    channels.taken_in_by(database, accounts, messages.sender, presses_in_words)
    answering.agent.handing_on = HandingOn(accounts, answering.residents, messages.peers)
    invites = inviting(
        database, accounts, callers, directory, messages, checks, channels,
        client=address_of(settings.web_url, unit_id), wall_ms=wall_ms, jitter=jitter,
    )  # fmt: skip
    profile_service = ProfileService(accounts, callers, naming, wall_ms=wall_ms, used=follower.use)
    messages.conversations.names = PeerNames(messages.peers, profile_service.seen)

    mail = None
    if settings.smtp_listen:
        from deployment_units.agent.mail import mail_of  # units without mail do without

        mail = mail_of(
            settings, unit_id, folder, database, accounts, callers, messages.sender, directory,
            connect=connect, presses=presses_in_words, due=messages.due, wall_ms=wall_ms,
        )  # fmt: skip

    def moved(tenant: str, account: str, resident: Resident | None) -> NewHome | None:
        unit = whereabouts.moved(tenant, account, resident)
        return None if unit is None else NewHome(unit, client_of(settings.web_url, unit))

    stamps = SynStamps(wall_ms=wall_ms)
    device_service = DeviceService(
        database, accounts, callers,
        wall_ms=wall_ms, serves=verifier.serves, activity=messages.activity, stamp_of=stamps.of,
    )  # fmt: skip

    calls = telephony(
        unit_id, database, accounts, callers, directory,
        connect=connect, wall_ms=wall_ms, jitter=jitter,
    )  # fmt: skip

    call_server = None
    if settings.sip_listen:
        from deployment_units.agent.calling import call_server_of  # likewise

        call_server = call_server_of(
            settings, calls.routing, take=channels.take_text, wall_ms=wall_ms
        )
        channels.send_sip = call_server.send_text

    identity_service = IdentityService(
        accounts,
        callers,
        find_original,
        wall_ms=wall_ms,
        organisations=ProvedDomains(directory, clock=time.monotonic),
    )

    async def close() -> None:
        await answering.close()
        if call_server is not None:
            await call_server.close()
        await calls.peers.close()
        if mail is not None:
            await mail.close()
        await database.close()
        await messages.close()
        channels.close()

    return UnitKeeping(
        state=state,
        callers=callers,
        services=(
            Service(
                add=profile_pb2_grpc.add_ProfileServiceServicer_to_server,
                servicer=profile_service,
                name=PROFILES,
                hot={},
            ),
            Service(
                add=conversation_pb2_grpc.add_ConversationServiceServicer_to_server,
                servicer=messages.conversations,
                name=CONVERSATIONS,
                hot={},
            ),
            Service(
                add=delivery_pb2_grpc.add_DeliveryServiceServicer_to_server,
                servicer=messages.deliveries,
                name=DELIVERIES,
                hot={},
            ),
            channels.push_service(accounts, callers, wall_ms=wall_ms),
            invites.service,
            *((mail.service,) if mail is not None else ()),
            Service(
                add=identity_pb2_grpc.add_IdentityServiceServicer_to_server,
                servicer=identity_service,
                name=IDENTITIES,
                hot={},
            ),
            Service(
                add=device_pb2_grpc.add_DeviceServiceServicer_to_server,
                servicer=device_service,
                name=DEVICES,
                hot={},
            ),
            calls.service,
        ),
        tasks={
            "accounts that are gone": state.run,
            "accounts that stay": staying.run,
            "names of accounts": naming.run,
            "names as they change": follower.run,
            "browsers that wait": device_service.run,
            "reports of calls": calls.reports.run,
            **messages.tasks,
            **channels.tasks,
            **invites.tasks,
            **answering.tasks,
            **(mail.tasks if mail is not None else {}),
            **({"call server": call_server.run} if call_server is not None else {}),
        },
        close=close,
        mail=mail,
        applications=answering.agent,
        outbox=messages.measures,
        confirmations=CardConfirmations(
            database,
            accounts,
            messages.conversations.clicking,
            checks,
            moved=moved,
            wall_ms=wall_ms,
        ),
        message_pages=MessagePages(database, accounts, checks, moved=moved, wall_ms=wall_ms),
        stamps=stamps,
        devices=device_service,
        inviting=invites,
        telephony=calls,
        identities=identity_service,
        call_server=call_server,
    )


def wall_ms() -> int:
    """Unix ms."""
    return time.time_ns() // 1_000_000


def _refuse_accounts(folder: Path) -> None:
    """Raises Refused where a unit kept accounts before: they would not be found, nor handed on."""
    if (folder / FILE).exists():
        raise Refused(
            f"{folder} keeps accounts; start the agent with --accounts, or name another --state-dir"
        )
