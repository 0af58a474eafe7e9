"""DomainNoticeMessages: what the control plane tells the owner of a domain, as a message of its
account's: from the postmaster of the unit's mail, in one conversation, kept once."""

from __future__ import annotations

import sqlite3
from hashlib import sha256

from control_plane.errors import InvalidInput
from control_plane.identity.names import check_slug
from control_plane.printable import quoted
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.handling import Handling, MessageClass, encoded
from deployment_units.services.conversations.message import ID_BYTES, NewMessage
from deployment_units.services.conversations.sending import MessageDoors
from homeport.api.communication.v1 import conversation_pb2, invite_pb2

NOBODYS_HOST = "unit.invalid"
MOST_DOMAIN = 253  # RFC 1035, octets
_SAID = {
    invite_pb2.DOMAIN_NOTICE_STATE_LAPSING: "Its TXT record has been missing for three days. "
    "Publish it again: seven days later nothing is routed by the domain any more.",
    invite_pb2.DOMAIN_NOTICE_STATE_LAPSED: "Its TXT record is missing, and nothing is routed by it "
    "any more. Publish it again, and have the domain verified.",
    invite_pb2.DOMAIN_NOTICE_STATE_CONTESTED: "Another organisation has proved it, too. While your "
    "TXT record is published nothing changes; a day after it is gone the domain is theirs.",
    invite_pb2.DOMAIN_NOTICE_STATE_TAKEN_OVER: "Your TXT record was gone for a day, and another "
    "organisation has proved it: the domain is theirs.",
}


class DomainNoticeMessages:
    """Of one unit. host: the domain of its mail; empty: it has none."""

    def __init__(self, accounts: Accounts, doors: MessageDoors, *, host: str) -> None:
        self._accounts = accounts
        self._doors = doors
        self._sender = f"mailto:postmaster@{host or NOBODYS_HOST}"

    async def keep(
        self, resident: Resident, request: invite_pb2.DeliverDomainNoticeRequest
    ) -> None:
        """Once, however often it is told. Raises InvalidInput, and as Accounts.change."""
        organisation = check_slug(request.organisation, "organisation")
        said = _SAID.get(request.state)
        if said is None:
            raise InvalidInput("state", "state is none that this unit knows")
        if not 0 < len(request.domain) <= MOST_DOMAIN or not request.domain.isascii():
            raise InvalidInput("domain", f"domain is {quoted(request.domain)}; name it in A-labels")
        text = f"{request.domain} of {organisation}: {said}"
        content: bytes = conversation_pb2.Content(text=text).SerializeToString(deterministic=True)
        since_ms = request.since.ToMilliseconds()
        message = NewMessage(
            id=_id(organisation, request.domain, str(request.state), str(since_ms)),
            conversation=_id("notices about domains", resident.tenant, resident.account),
            sender=self._sender,
            content=content,
            via=resident.account,
            handling=encoded(Handling(message_class=MessageClass.NOTICE)),
        )

        def receive(db: sqlite3.Connection, owner: int) -> None:
            self._doors.receive(db, owner, resident, message, (resident.account, self._sender))

        await self._accounts.change(resident, receive)


def _id(*parts: str) -> bytes:
    return sha256("\0".join(("domain notice", *parts)).encode()).digest()[:ID_BYTES]
