"""The channels over which a unit sends beyond its clients, built from its settings."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from control_plane.serving.server import Service
from deployment_units.agent.mail_settings import mail_domains
from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.web_settings import address_of
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.mail_out import MailOut, MailRelay
from deployment_units.services.channels.port import OutgoingChannel
from deployment_units.services.channels.push import Push, read_allowed
from deployment_units.services.channels.push_service import NAME as PUSH_SERVICE
from deployment_units.services.channels.push_service import PushService
from deployment_units.services.channels.sip_message import SendSip, SipMessage
from deployment_units.services.channels.text_link import TextLink, TextOnLine
from deployment_units.services.conversations.answering import AnswerPresses
from deployment_units.services.conversations.card_checks import CardChecks
from deployment_units.services.conversations.sending import MessageDoors
from deployment_units.services.gateway.composing import Composer
from deployment_units.services.gateway.text_answers import TextAnswers
from deployment_units.services.state.database import UnitDatabase
from homeport.api.communication.v1 import push_pb2_grpc


@dataclass(slots=True, kw_only=True)
class UnitChannels:
    """all: by what they are; composer: what they are given; tasks: what has to run for them;
    allowed: hosts of push services, by schema; send_sip: of the unit's call server."""

    all: Mapping[Channel, OutgoingChannel]
    composer: Composer
    tasks: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=dict)
    answers: TextAnswers | None = None
    send_sip: SendSip | None = None
    allowed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    push: Push | None = None

    def push_service(
        self, accounts: Accounts, callers: Callers, *, wall_ms: Callable[[], int]
    ) -> Service:
        """Of the accounts' push addresses."""
        servicer = PushService(
            accounts, callers, self.allowed, self.push,
            new_id=lambda: secrets.token_hex(4),
            new_code=lambda: f"{secrets.randbelow(10**8):08}",
            wall_ms=wall_ms, clock=time.monotonic,
        )  # fmt: skip
        return Service(
            add=push_pb2_grpc.add_PushServiceServicer_to_server,
            servicer=servicer, name=PUSH_SERVICE, hot={},
        )  # fmt: skip

    def close(self) -> None:
        """Once nothing is sent any more."""
        if self.push is not None:
            self.push.close()

    async def take_text(self, text: TextOnLine) -> int:
        """A text that came in; nobody is there before the unit takes any."""
        return 404 if self.answers is None else await self.answers.take(text)

    async def send_text(
        self, target: str, shown: str | None, text: str, *, within_s: float
    ) -> int | None:
        """See SendSip; nothing is sent before the unit has a call server."""
        if self.send_sip is None:
            return None
        return await self.send_sip(target, shown, text, within_s=within_s)

    def taken_in_by(
        self,
        database: UnitDatabase,
        accounts: Accounts,
        doors: MessageDoors,
        presses: AnswerPresses,
    ) -> None:
        """From now on answers by text are presses and messages."""
        self.answers = TextAnswers(database, accounts, doors, presses)


def channels_of(
    settings: AgentSettings,
    unit_id: str,
    checks: CardChecks,
    *,
    wall_ms: Callable[[], int],
    jitter: Callable[[], float],
) -> UnitChannels:
    """checks: reads cards that go by mail. Raises InvalidInput for what cannot be used."""
    reached = address_of(settings.web_url, unit_id)
    host = next(iter(mail_domains(settings.mail_domain)), "")
    composer = Composer(
        host=host,
        number=settings.text_number,
        pages=f"{reached}/a/" if reached else "",
        message_pages=f"{reached}/m/" if reached else "",
        checks=checks,
        new_key=lambda: secrets.token_bytes(32),
        wall_ms=wall_ms,
    )
    found: dict[Channel, OutgoingChannel] = {}
    made = UnitChannels(all=found, composer=composer)
    if settings.mail_relay:
        found[Channel.MAIL] = MailOut(mail_relay_of(settings), host=host, wall_ms=wall_ms)
    if settings.text_line:
        where, port = _host_and_port(settings.text_line)
        line = TextLink(
            where, port, number=settings.text_number, take=made.take_text, jitter=jitter
        )
        found[Channel.TEXT] = line
        made.tasks = {"line for texts": line.run}
    elif settings.sip_listen and settings.text_number:
        found[Channel.TEXT] = SipMessage(
            made.send_text, number=settings.text_number, clock=time.monotonic
        )
    if allowed := read_allowed(settings.push):
        made.allowed = allowed
        made.push = found[Channel.PUSH] = Push(allowed)
    return made


def mail_relay_of(settings: AgentSettings) -> MailRelay:
    """Raises InvalidInput naming the setting at fault."""
    host, port = _host_and_port(settings.mail_relay)
    return MailRelay(
        host=host, port=port, verified_tls=settings.mail_relay_tls, ca=settings.mail_relay_ca,
        user=settings.mail_relay_user, password=settings.mail_relay_password_file,
    )  # fmt: skip


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
