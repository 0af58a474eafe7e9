"""Units that take mail for talk.example over real SMTP, and bring it each other over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiosmtplib
import grpc

from control_plane.errors import NotFound, ServiceError
from control_plane.identity.departures import Departed
from control_plane.identity.introductions import INTRODUCTION_TTL_S, IntroductionIssuer
from control_plane.serving.server import Server, Service, Transport
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels import mail_kept
from deployment_units.services.channels.reply_tokens import ReplyOwner
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations.message import KeptMessage, NewMessage
from deployment_units.services.directory.port import RESOLVE, DirectoryMethod
from deployment_units.services.mail_in.directory_homes import DirectoryHomes
from deployment_units.services.mail_in.grpc_mail_peers import GrpcMailPeers
from deployment_units.services.mail_in.mail_keeper import MailKeeper
from deployment_units.services.mail_in.mail_reader import MailReader
from deployment_units.services.mail_in.mail_reports import MailReports
from deployment_units.services.mail_in.other_units import MailPeers
from deployment_units.services.mail_in.reading_tasks import TASKS
from deployment_units.services.mail_in.role_box import MOST_MAILS, RoleBox
from deployment_units.services.mail_in.service import NAME, MailService
from deployment_units.services.mail_in.smtp_limits import SmtpLimits, read_networks
from deployment_units.services.mail_in.smtp_server import SmtpServer
from deployment_units.services.mail_in.taking import MailIn
from deployment_units.services.profiles import kept as profiles
from deployment_units.services.profiles.profile import EVERYONE, Mode
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import mail_pb2_grpc
from homeport.api.directory.v1 import directory_pb2
from tests.support.account_units import NOW, TENANT, AccountUnit, account_unit, an_issuer
from tests.support.fakes.domain_names import NameTable
from tests.support.fakes.mail_peers import MailPeersFake
from tests.support.fakes.offload import FakeOffload
from tests.support.fakes.press_doors import FakePressDoors

HOST = "talk.example"
ANNA = Resident(tenant=TENANT, account="anna", epoch=1)
CARLA = "mailto:carla@mail.example"
CONVERSATION = b"c" * 16
SPF = ("mail.example", "TXT")
VOUCHED = {SPF: (b"v=spf1 ip4:127.0.0.1 -all",)}


class MailDirectory:
    """Where accounts are at home: unit and epoch, by handle and id alike. believed: what is told
    until somebody asks anew; away: what every question comes to."""

    def __init__(self) -> None:
        self.homes: dict[str, tuple[str, int]] = {}
        self.believed: dict[str, tuple[str, int]] = {}
        self.endpoints: dict[str, str] = {}
        self.issuer = an_issuer()
        self.away: ServiceError | None = None

    def of(self, unit_id: str) -> Asking:
        return Asking(self, unit_id)


class Asking:
    """A UnitDirectory, as one unit asks for nobody in particular."""

    def __init__(self, directory: MailDirectory, unit_id: str) -> None:
        self._on = directory
        self._unit_id = unit_id

    async def call(self, method: DirectoryMethod, resident: Resident, request: Any) -> Any:
        assert method is RESOLVE
        assert not resident.account
        if self._on.away is not None:
            raise self._on.away
        account = request.account or request.identifier.uri.removeprefix("@")
        known = self._on.homes if request.fresh else self._on.homes | self._on.believed
        if account not in known:
            raise NotFound("nobody is found by this identifier")
        unit, epoch = known[account]
        introduction = IntroductionIssuer(self._on.issuer).make(
            unit, resident.tenant, account, epoch, NOW, from_unit=self._unit_id
        )
        found = directory_pb2.Residence(
            account=account, unit_id=unit, endpoint=self._on.endpoints.get(unit, ""), epoch=epoch,
            introduction=introduction,
        )  # fmt: skip
        found.expire_time.FromMilliseconds(int((NOW + INTRODUCTION_TTL_S) * 1_000))
        return directory_pb2.ResolveResponse(residences=[found])


class MailUnit:
    """A unit that takes mail for talk.example. names: in place of DNS."""

    def __init__(
        self,
        unit: AccountUnit,
        port: int,
        directory: MailDirectory,
        names: NameTable,
        service: MailService,
        server: SmtpServer,
    ) -> None:
        self.server = server
        self.unit = unit
        self.port = port
        self.directory = directory
        self.names = names
        self.service = service

    async def begin(
        self, card: str = "", *, resident: Resident = ANNA, address: str = "carla@mail.example"
    ) -> str:
        """Anna writes to Carla, or whoever has the address; where their answers come to."""
        participant = f"mailto:{address}"

        def write(db, owner):  # type: ignore[no-untyped-def]
            message = NewMessage(
                id=b"1" * 16, conversation=CONVERSATION, sender="anna",
                content=pb.Content(text="Coming?", card=card).SerializeToString(),
            )  # fmt: skip
            self.unit.sender.send(db, owner, resident, message, [participant])
            whose = ReplyOwner(conversation=CONVERSATION, participant=participant, address=address)
            return mail_kept.address_for_replies(
                db, owner, whose, account="anna", host=HOST, new_key=lambda: bytes(32)
            )

        return await self.unit.accounts.change(resident, write)

    async def has_handle(
        self, *, open_to_all: bool = True, account: str = "anna", epoch: int = 1
    ) -> None:
        def claim(db, owner):  # type: ignore[no-untyped-def]
            db.execute(
                "INSERT INTO handles (owner, handle, state) VALUES (?, ?, 'held')",
                (owner, account),
            )
            if open_to_all:
                profiles.set_reachability(db, owner, Mode.MAIL, EVERYONE)

        resident = Resident(tenant=TENANT, account=account, epoch=epoch)
        await self.unit.accounts.change(resident, claim)

    async def mail(
        self, to: str, body: str, *, sender: str = "carla@mail.example", header: str = ""
    ) -> str:
        """What was said to it at last."""
        head = (
            header or f"From: Carla <{sender}>\nSubject: Re: Beans\nMessage-ID: <m1@mail.example>"
        )
        content = f"{head}\n{body}".replace("\n", "\r\n").encode()
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=self.port, timeout=30)
        async with client:
            try:
                _, said = await client.sendmail(sender, [to], content)
            except aiosmtplib.SMTPRecipientsRefused as refused:
                return f"RCPT {refused.recipients[0].code}"
            except aiosmtplib.SMTPResponseException as refused:
                return f"{refused.code} {refused.message}"
        return said

    def messages(self, resident: Resident = ANNA) -> list[KeptMessage]:
        """Of Anna, behind her own."""
        read = partial(conversations.messages, after=0, most=100)
        found, _ = self.unit.accounts.read(resident, lambda db, owner: read(db, owner))
        return [one for one in found if one.sender != resident.account]

    def left(self, account: str, unit_id: str, epoch: int) -> None:
        """It is told that the account has its home there, from that epoch on."""
        departed = Departed(
            epoch=epoch, unit_id=unit_id, endpoint="", decided_at=NOW, over_at=NOW + 60
        )
        self.unit.verifier.departures.note(TENANT, account, departed)


@asynccontextmanager
async def mail_unit(
    folder: Path,
    *,
    unit_id: str = "u",
    directory: MailDirectory | None = None,
    peers: MailPeers | None = None,
    trusted: str = "",
    limits: SmtpLimits | None = None,
    roles: Mapping[str, str] | None = None,
    most_role_mails: int = MOST_MAILS,
    **of_service: Any,
) -> AsyncIterator[MailUnit]:
    """roles: handles by domain; of_service: other bounds of its MailService."""
    directory, limits = directory or MailDirectory(), limits or SmtpLimits()
    async with AsyncExitStack() as stack:
        unit = await stack.enter_async_context(
            account_unit(
                folder, unit_id, directory.issuer, press_doors=FakePressDoors({"anna"})
            )
        )  # fmt: skip
        names = NameTable(dict(VOUCHED))
        networks = read_networks(trusted, "trusted")
        reader = MailReader(
            FakeOffload(tasks=TASKS), names, authserv_id="mx.talk.example",
            is_trusted=lambda peer: bool(networks),
        )  # fmt: skip
        stack.callback(reader.close)
        reports = MailReports(host=HOST, due=unit.agenda.hint, wall_ms=unit.wall_ms)
        keeper = MailKeeper(
            unit.database, unit.accounts, unit.sender, reports, unit.presses_in_words
        )
        if peers is None:
            peers = MailPeersFake()
        taker = MailIn(
            {HOST: TENANT},
            keeper,
            reader,
            DirectoryHomes(unit_id, directory.of(unit_id), unit.callers.introduction),
            peers,
            has_left=unit.callers.has_left,
            role_handles=roles or {},
            role_box=RoleBox(
                folder / "postmaster", wall_ms=unit.wall_ms, most_mails=most_role_mails
            ),
        )
        service = MailService(
            {HOST: TENANT}, unit.callers, keeper, reader, role_handles=roles or {},
            most_bytes=limits.max_bytes, clock=lambda: 0.0, **of_service,
        )  # fmt: skip
        serving = Server(
            [
                Service(
                    add=mail_pb2_grpc.add_MailServiceServicer_to_server,
                    servicer=service, name=NAME, hot={},
                )
            ],
            transport=Transport.GRPCIO,
        )  # fmt: skip
        directory.endpoints[unit_id] = f"127.0.0.1:{serving.bind('127.0.0.1:0')}"
        await serving.start()
        stack.push_async_callback(serving.stop, 0.0)
        server = SmtpServer(
            taker, host="mx.talk.example", clock=lambda: 0.0, limits=limits, trusted=networks
        )
        port = await server.start("127.0.0.1", 0)
        reading = asyncio.create_task(reader.run())
        try:
            yield MailUnit(unit, port, directory, names, service, server)
        finally:
            await server.close()
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading


@asynccontextmanager
async def mail_units(
    folder: Path,
    *units: str,
    roles: Mapping[str, Mapping[str, str]] | None = None,
    **of_service: Any,
) -> AsyncIterator[list[MailUnit]]:
    """Of one fleet. roles: by unit."""
    directory = MailDirectory()
    async with AsyncExitStack() as stack:
        found = []
        for name in units:
            peers = GrpcMailPeers(grpc.aio.insecure_channel)
            stack.push_async_callback(peers.close)
            made = mail_unit(
                folder / name,
                unit_id=name,
                directory=directory,
                peers=peers,
                roles=(roles or {}).get(name),
                **of_service,
            )
            found.append(await stack.enter_async_context(made))
        yield found
