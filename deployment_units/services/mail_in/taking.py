"""MailIn: takes what an SMTP server brings, for the accounts of the fleet.

Recipients are of our own domains: a reply address, a handle whose account strangers reach by
mail, or a role of the domain, which is always taken. Whoever lives here is looked for here; others
are asked for where they are at home, and their mail is kept there before anybody is told that it
was taken. Nobody who is hidden is told from nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from control_plane.errors import (
    Exhausted,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Refused,
    ServiceError,
)
from control_plane.faultpoints import passing
from control_plane.identifiers.handles import read_handle
from control_plane.identifiers.identifier import Flaw
from control_plane.printable import printable
from deployment_units.services.accounts.accounts import AccountFull, StaleEpoch
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels.reply_tokens import home_of, token_of
from deployment_units.services.mail_in.incoming import (
    LATER,
    NO_RELAY,
    NOBODY,
    RECIPIENT_OK,
    MailSession,
    SmtpReply,
)
from deployment_units.services.mail_in.loops import MailOrigin
from deployment_units.services.mail_in.mail_keeper import Mailbox, MailKeeper, NobodysMail
from deployment_units.services.mail_in.mail_reader import MailReader
from deployment_units.services.mail_in.other_units import (
    HandedMail,
    MailHomes,
    MailPeers,
    OtherUnit,
)
from deployment_units.services.mail_in.reading import MailReading
from deployment_units.services.mail_in.recipient_domains import domain_of
from deployment_units.services.mail_in.role_addresses import is_role, role_handle, with_domain
from deployment_units.services.mail_in.role_box import RoleMail, RoleMailbox

T = TypeVar("T")
log = logging.getLogger(__name__)

KEPT = SmtpReply(250, "2.0.0", "kept")
_LOOP = SmtpReply(550, "5.4.6", "it goes in circles")
_FULL = SmtpReply(452, "4.2.2", "the mailbox has no room for it; try again later")
MOST_WORDS = 200


class MailIn:
    """A MailTaker. tenants: by our domains, in A-labels and small letters; has_left: whether an
    account that is kept here is known to have its home elsewhere, though its rows are not gone;
    role_handles: by our domains, whose account gets what comes to their roles; role_box: takes what
    that account does not; None: the domains have no roles."""

    def __init__(
        self,
        tenants: Mapping[str, str],
        keeper: MailKeeper,
        reader: MailReader,
        homes: MailHomes,
        peers: MailPeers,
        *,
        has_left: Callable[[Resident], bool],
        role_handles: Mapping[str, str] = MappingProxyType({}),
        role_box: RoleMailbox | None = None,
    ) -> None:
        self._tenants = tenants
        self._keeper = keeper
        self._reader = reader
        self._homes = homes
        self._peers = peers
        self._has_left = has_left
        self._role_handles = role_handles
        self._role_box = role_box
        self._host = next(iter(tenants), "")

    async def recipient(self, session: MailSession, address: str) -> SmtpReply:
        """See MailTaker."""
        address = with_domain(address, self._host)
        tenant = self._tenants.get(domain_of(address))
        if tenant is None:
            return NO_RELAY
        if self._role_box is not None and is_role(address):
            return RECIPIENT_OK

        async def look(fresh: bool) -> SmtpReply:
            found = await self._mailbox(tenant, address, session.peer, fresh=fresh)
            if isinstance(found, OtherUnit):
                await self._peers.check(found, address)
            return NOBODY if found is None else RECIPIENT_OK

        try:
            return await _also_where_it_moved(look)
        except ServiceError as error:
            return _reply(error)

    async def take(self, session: MailSession, recipient: str, content: bytes) -> SmtpReply:
        """See MailTaker."""
        recipient = with_domain(recipient, self._host)
        tenant = self._tenants.get(domain_of(recipient))
        if tenant is None:
            return NO_RELAY
        if self._role_box is None or not is_role(recipient):
            return await self._taken(tenant, session, recipient, content)
        if role_handle(self._role_handles, recipient) is not None:
            reply = await self._taken(tenant, session, recipient, content)
            if reply.code < 500:
                return reply
        try:
            await self._role_box.keep(RoleMail(session.sender, recipient, content))
        except ServiceError as error:
            return _FULL if isinstance(error, Exhausted) else _reply(error)
        return KEPT

    async def _taken(
        self, tenant: str, session: MailSession, recipient: str, content: bytes
    ) -> SmtpReply:
        """By an account."""
        try:
            reading = await self._reader.read(session, recipient, content)
            if reading.origin is MailOrigin.LOOP:
                return _LOOP
            mail = HandedMail(session.sender, recipient, content, reading.results)

            async def keep(fresh: bool) -> None:
                found = await self._mailbox(tenant, recipient, session.peer, fresh=fresh)
                await self._kept(found, mail, reading)

            await _also_where_it_moved(keep)
        except ServiceError as error:
            return _reply(error)
        return KEPT

    async def _kept(
        self, found: Mailbox | OtherUnit | None, mail: HandedMail, reading: MailReading
    ) -> None:
        """It is on disk, here or there, when this returns. Raises NotFound, StaleEpoch and what
        else becomes of it."""
        if found is None:
            raise NotFound("nobody has that address")
        if isinstance(found, OtherUnit):
            passing("mail.handed.before")
            await self._peers.deliver(found, mail)
            passing("mail.handed.after")
        else:
            await self._keeper.keep(found, reading, mail.content)

    async def _mailbox(
        self, tenant: str, address: str, peer: str, *, fresh: bool = False
    ) -> Mailbox | OtherUnit | None:
        """fresh: what the directory said last has turned out to be wrong."""
        token = token_of(address)
        if token is not None:
            here = self._keeper.of_token(tenant, token)
            if here is not None and not self._has_left(here.resident):
                return here
            account = home_of(address)
            if account is None:
                return None
            found = await self._homes.of_account(tenant, account, peer, fresh=fresh)
            if found is None or isinstance(found, OtherUnit):
                return found
            if here is None or here.resident.account != account:
                return None
            return Mailbox(found, here.whose)  # it came back, by a later assignment
        role = is_role(address)
        local = address.rpartition("@")[0].partition("+")[0]
        handle = read_handle(role_handle(self._role_handles, address) or local)
        if isinstance(handle, Flaw):
            return None
        mine = self._keeper.of_handle(tenant, handle.normal)
        if mine is not None and not self._has_left(mine):
            return self._keeper.of_account(mine, role=role)
        found = await self._homes.of_handle(tenant, handle.normal, peer, fresh=fresh)
        if found is None or isinstance(found, OtherUnit):
            return found
        return self._keeper.of_account(found, role=role)


async def _also_where_it_moved(work: Callable[[bool], Awaitable[T]]) -> T:
    """work: given whether to ask anew where the account is at home."""
    try:
        return await work(False)
    except StaleEpoch:
        return await work(True)


def _reply(error: ServiceError) -> SmtpReply:
    """What to say of what became of a mail, or could not be found out."""
    if isinstance(error, AccountFull | Exhausted):
        return _FULL if isinstance(error, AccountFull) else LATER
    if isinstance(error, StaleEpoch):
        return LATER
    if isinstance(error, NotFound | PermissionDenied):
        return NOBODY
    if isinstance(error, NobodysMail | InvalidInput):
        words = printable(" ".join(error.message.split()))[:MOST_WORDS]
        return SmtpReply(550, "5.6.0", words)
    if isinstance(error, Refused):
        log.warning("a mail was not taken: %s", error.reason)
    return LATER
