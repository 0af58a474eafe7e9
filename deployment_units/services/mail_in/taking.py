"""MailIn: takes what an SMTP server brings, for the accounts of the fleet.

Recipients are of our own domains: a reply address, or a handle whose account strangers reach by
mail. Whoever lives here is looked for here; others are asked for where they are at home, and their
mail is taken there before anybody is told that it was. Nobody who is hidden is told from nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from control_plane.errors import (
    Exhausted,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Refused,
    ServiceError,
)
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

log = logging.getLogger(__name__)

KEPT = SmtpReply(250, "2.0.0", "kept")
_OTHER_UNIT = SmtpReply(451, "4.4.4", "another of our servers takes mail for it; try again there")
_LOOP = SmtpReply(550, "5.4.6", "it goes in circles")
_FULL = SmtpReply(452, "4.2.2", "the mailbox has no room for it; try again later")
MOST_WORDS = 200


class OtherUnit(NamedTuple):
    """The account is at home at another unit, whose server takes its mail."""

    unit_id: str


class MailHomes(Protocol):
    """Where accounts are at home that get mail. peer: who asks for them. None: there is no such
    account. Raises Exhausted, Unavailable and what else the directory says."""

    async def of_handle(self, tenant: str, handle: str, peer: str) -> Resident | OtherUnit | None:
        """handle: in normal form."""
        ...

    async def of_account(self, tenant: str, account: str, peer: str) -> Resident | OtherUnit | None:
        """account: its id."""
        ...


class MailIn:
    """A MailTaker. tenants: by our domains, in A-labels and small letters."""

    def __init__(
        self,
        tenants: Mapping[str, str],
        keeper: MailKeeper,
        reader: MailReader,
        homes: MailHomes,
    ) -> None:
        self._tenants = tenants
        self._keeper = keeper
        self._reader = reader
        self._homes = homes

    async def recipient(self, session: MailSession, address: str) -> SmtpReply:
        """See MailTaker."""
        tenant = self._tenants.get(domain_of(address))
        if tenant is None:
            return NO_RELAY
        try:
            found = await self._mailbox(tenant, address, session.peer)
        except ServiceError as error:
            return _reply(error)
        if isinstance(found, OtherUnit):
            return _OTHER_UNIT
        return NOBODY if found is None else RECIPIENT_OK

    async def take(self, session: MailSession, recipient: str, content: bytes) -> SmtpReply:
        """See MailTaker."""
        tenant = self._tenants.get(domain_of(recipient))
        if tenant is None:
            return NO_RELAY
        try:
            reading = await self._reader.read(session, recipient, content)
            if reading.origin is MailOrigin.LOOP:
                return _LOOP
            found = await self._mailbox(tenant, recipient, session.peer)
            if found is None:
                return NOBODY
            if isinstance(found, OtherUnit):
                return _OTHER_UNIT
            await self._keeper.keep(found, reading, content)
        except ServiceError as error:
            return _reply(error)
        return KEPT

    async def _mailbox(self, tenant: str, address: str, peer: str) -> Mailbox | OtherUnit | None:
        token = token_of(address)
        if token is not None:
            here = self._keeper.of_token(tenant, token)
            if here is not None:
                return here
            account = home_of(address)
            if account is None:
                return None
            found = await self._homes.of_account(tenant, account, peer)
            return found if isinstance(found, OtherUnit) else None
        local = address.rpartition("@")[0].partition("+")[0]
        handle = read_handle(local)
        if isinstance(handle, Flaw):
            return None
        mine = self._keeper.of_handle(tenant, handle.normal)
        if mine is not None:
            return self._keeper.of_account(mine)
        found = await self._homes.of_handle(tenant, handle.normal, peer)
        if found is None or isinstance(found, OtherUnit):
            return found
        return self._keeper.of_account(found)


def domain_of(address: str) -> str:
    """Of an address, as our domains are written; empty: it has none.

    >>> domain_of("anna@TALK.example.")
    'talk.example'
    """
    domain = address.rpartition("@")[2].rstrip(".").lower() if "@" in address else ""
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return ""


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
