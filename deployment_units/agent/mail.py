"""What of one unit takes mail in, built in one pass: the SMTP server, what reads mail in child
processes, where each account is, and the ways to and from other units. Imported where mail is
switched on alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from grpc import aio

from control_plane.errors import InvalidInput, Refused
from control_plane.offloading.pool import ProcessPool
from control_plane.process import serving_tls
from control_plane.serving.server import Service
from control_plane.serving.tls import HTTP1, following
from deployment_units.agent.mail_settings import mail_domains, role_handles
from deployment_units.agent.settings import AgentSettings
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.conversations.answering import AnswerPresses
from deployment_units.services.conversations.sending import MessageDoors
from deployment_units.services.directory.port import UnitDirectory
from deployment_units.services.mail_in.directory_homes import DirectoryHomes
from deployment_units.services.mail_in.dns_names import DnsNames
from deployment_units.services.mail_in.grpc_mail_peers import GrpcMailPeers
from deployment_units.services.mail_in.mail_keeper import MailKeeper
from deployment_units.services.mail_in.mail_reader import LIMITS, TASKS, MailReader
from deployment_units.services.mail_in.mail_reports import MailReports
from deployment_units.services.mail_in.role_box import RoleBox
from deployment_units.services.mail_in.service import NAME, MailService
from deployment_units.services.mail_in.smtp_limits import NetworkCounts, SmtpLimits, read_networks
from deployment_units.services.mail_in.smtp_server import SmtpServer
from deployment_units.services.mail_in.taking import MailIn
from deployment_units.services.state.database import UnitDatabase
from homeport.api.communication.v1 import mail_pb2_grpc

READERS = 2  # child processes that read mail
ROLE_FOLDER = "postmaster"  # of the unit's folder


class UnitMail:
    """Listens between `start` and `close`."""

    def __init__(
        self,
        listen: str,
        server: SmtpServer,
        pool: ProcessPool,
        reader: MailReader,
        service: MailService,
        peers: GrpcMailPeers,
    ) -> None:
        host, _, port = listen.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._reader = reader
        self._peers = peers
        self.service = Service(
            add=mail_pb2_grpc.add_MailServiceServicer_to_server,
            servicer=service, name=NAME, hot={},
        )  # fmt: skip
        self.server = server
        self.address = ""
        self.tasks: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "mail readers": pool.run,
            "mail that is read": reader.run,
        }

    async def start(self) -> None:
        """Raises Refused where it cannot listen."""
        try:
            port = await self.server.start(self._host, self._port)
        except OSError as error:
            raise Refused(
                f"cannot listen for mail at {self._host}:{self._port}: {error}"
            ) from error
        self.address = f"{self._host}:{port}"

    async def close(self) -> None:
        """Takes no more; what was being brought comes again."""
        await self.server.close()
        self._reader.close()
        await self._peers.close()


def mail_of(
    settings: AgentSettings,
    unit_id: str,
    folder: Path,
    database: UnitDatabase,
    accounts: Accounts,
    callers: Callers,
    doors: MessageDoors,
    directory: UnitDirectory,
    *,
    connect: Callable[[str], aio.Channel],
    presses: AnswerPresses,
    due: Callable[[int, int], None],
    wall_ms: Callable[[], int],
) -> UnitMail:
    """folder: the unit's; callers: who reads introductions to this unit; doors: the way in of
    messages; connect: to other units; presses: what presses a button; due: as MailReports has it.
    Raises InvalidInput."""
    tenants = mail_domains(settings.mail_domain)
    trusted = read_networks(settings.mail_trusted, "mail_trusted")
    host = next(iter(tenants), "")
    if not host:
        raise InvalidInput("mail_domain", "mail_domain: names no domain")
    limits = SmtpLimits()
    pool = ProcessPool(TASKS, workers=READERS, limits=LIMITS)
    reader = MailReader(
        pool,
        DnsNames(settings.mail_dns),
        authserv_id=settings.mail_authserv_id or host,
        is_trusted=NetworkCounts(limits, trusted).is_trusted,
        readers=READERS,
    )
    reports = MailReports(host=host, due=due, wall_ms=wall_ms)
    keeper = MailKeeper(database, accounts, doors, reports, presses)
    peers = GrpcMailPeers(connect)
    homes = DirectoryHomes(unit_id, directory, callers.introduction)
    roles = role_handles(settings.postmaster, tenants)
    taker = MailIn(
        tenants,
        keeper,
        reader,
        homes,
        peers,
        has_left=callers.has_left,
        role_handles=roles,
        role_box=RoleBox(folder / ROLE_FOLDER, wall_ms=wall_ms),
    )
    service = MailService(
        tenants,
        callers,
        keeper,
        reader,
        role_handles=roles,
        most_bytes=limits.max_bytes,
        clock=time.monotonic,
    )
    tls = serving_tls(settings.tls_certificate, settings.tls_key, None)
    server = SmtpServer(
        taker,
        host=host,
        clock=time.monotonic,
        tls=None if tls is None else following(tls, HTTP1),
        limits=limits,
        trusted=trusted,
    )
    return UnitMail(settings.smtp_listen, server, pool, reader, service, peers)
