"""MailService: the gRPC servicer through which other units bring mail for accounts at home here.

It believes them who brought it and what vouches for it, for they had the connection; what a mail
says is read here, within the bounds of any other mail, and what becomes of it is decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any

from grpc import aio

from control_plane.errors import Exhausted, NotFound, PermissionDenied, Unavailable
from control_plane.faultpoints import passing
from control_plane.identity.introductions import Introduction
from control_plane.quotas.token_buckets import Rate, TokenBuckets
from deployment_units.services.accounts.callers import Callers, introduced
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels.reply_tokens import token_of
from deployment_units.services.mail_in.fair_places import FairPlaces
from deployment_units.services.mail_in.loops import MailOrigin
from deployment_units.services.mail_in.mail_keeper import Mailbox, MailKeeper, NobodysMail
from deployment_units.services.mail_in.mail_messages import address_of, content_of, envelope_of
from deployment_units.services.mail_in.mail_reader import MailReader
from deployment_units.services.mail_in.other_units import HandedMail
from deployment_units.services.mail_in.recipient_domains import domain_of
from deployment_units.services.mail_in.role_addresses import is_role, role_handle
from homeport.api.communication.v1 import mail_pb2 as pb
from homeport.api.communication.v1 import mail_pb2_grpc as pb_grpc

NAME = "homeport.api.communication.v1.MailService"
MOST_AT_ONCE = 32  # mails that are being brought; see FairPlaces
BROUGHT = Rate(per_s=50.0, burst=2_000.0)  # mails and questions, of one unit
MOST_UNITS = 10_000  # that are remembered
TAKE_S = 40.0  # for one mail
_NOBODY = "nobody here has that address"
_Context = aio.ServicerContext[Any, Any]


class MailService(pb_grpc.MailServiceServicer):
    """Servicer of one unit. tenants: by our domains; role_handles: as MailIn has them; clock:
    monotonic seconds."""

    def __init__(
        self,
        tenants: Mapping[str, str],
        callers: Callers,
        keeper: MailKeeper,
        reader: MailReader,
        *,
        most_bytes: int,
        clock: Callable[[], float],
        role_handles: Mapping[str, str] = MappingProxyType({}),
        rate: Rate = BROUGHT,
        at_once: int = MOST_AT_ONCE,
        take_s: float = TAKE_S,
    ) -> None:
        self._tenants = tenants
        self._callers = callers
        self._keeper = keeper
        self._reader = reader
        self._role_handles = role_handles
        self._most_bytes = most_bytes
        self._clock = clock
        self._units = TokenBuckets(rate, most_keys=MOST_UNITS)
        self._places = FairPlaces(at_once)
        self._take_s = take_s

    async def CheckMailRecipient(
        self, request: pb.CheckMailRecipientRequest, context: _Context
    ) -> pb.CheckMailRecipientResponse:
        bringer = self._bringer(context)
        self._mailbox(bringer, address_of(request.recipient, "recipient"))
        return pb.CheckMailRecipientResponse()

    async def DeliverMail(
        self, requests: AsyncIterator[pb.DeliverMailRequest], context: _Context
    ) -> pb.DeliverMailResponse:
        bringer = self._bringer(context)
        if not self._places.enter(bringer.from_unit):
            raise Exhausted("too many mails are being brought; try again", retry_after_s=1.0)
        try:
            async with asyncio.timeout(self._take_s):
                await self._take(bringer, aiter(requests))
        except TimeoutError as error:
            raise Unavailable("the mail could not be read in time; bring it again") from error
        finally:
            self._places.leave(bringer.from_unit)
        passing("mail.brought.after")
        return pb.DeliverMailResponse()

    async def _take(
        self, bringer: Introduction, requests: AsyncIterator[pb.DeliverMailRequest]
    ) -> None:
        envelope = await envelope_of(requests, most_bytes=self._most_bytes)
        self._mailbox(bringer, envelope.recipient)  # before anything is read
        content = await content_of(requests, envelope.size_bytes)
        reading = await self._reader.read_handed(
            HandedMail(envelope.sender, envelope.recipient, content, envelope.results)
        )
        if reading.origin is MailOrigin.LOOP:
            raise NobodysMail("it goes in circles")
        await self._keeper.keep(self._mailbox(bringer, envelope.recipient), reading, content)

    def _mailbox(self, bringer: Introduction, recipient: str) -> Mailbox:
        """Raises NotFound, StaleEpoch, StoreUnavailable."""
        if self._tenants.get(domain_of(recipient)) != bringer.tenant:
            raise NotFound(_NOBODY)
        resident, token = introduced(bringer), token_of(recipient)
        if is_role(recipient):
            found = self._of_role(resident, recipient)
        elif token is None:
            found = self._keeper.of_account(resident)
        else:
            found = self._keeper.of_token(bringer.tenant, token)
            if found is not None and found.resident.account == bringer.account:
                found = Mailbox(resident, found.whose)  # as the control plane knows it now
            else:
                found = None
        if found is None:
            raise NotFound(_NOBODY)
        return found

    def _of_role(self, resident: Resident, recipient: str) -> Mailbox | None:
        """By what this unit was told of roles, whatever the other one believes."""
        handle = role_handle(self._role_handles, recipient)
        mine = None if handle is None else self._keeper.of_handle(resident.tenant, handle)
        if mine is None or mine.account != resident.account:
            return None
        return self._keeper.of_account(resident, role=True)

    def _bringer(self, context: _Context) -> Introduction:
        """Raises as Callers.caller, PermissionDenied, Exhausted."""
        caller = self._callers.caller(context.invocation_metadata() or ())
        if not isinstance(caller, Introduction) or caller.viewer or not caller.from_unit:
            raise PermissionDenied("show an introduction of a unit, for nobody in particular")
        wait_s = self._units.take(caller.from_unit, self._clock())
        if wait_s:
            raise Exhausted("this unit brings too much mail; wait", retry_after_s=wait_s)
        return caller
