"""Accounts that are at home at other units: where, and the port by which mail goes there. Pure.

A mail is handed over within the session that brought it, before anybody is told that it was taken:
whoever brings it keeps it until the account's home has it on disk. So nothing is kept here, and the
same mail may be handed over again.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from deployment_units.services.accounts.entry import Resident
from deployment_units.services.mail_in.authentication_results import MethodResult


class OtherUnit(NamedTuple):
    """An account's home that is not this unit. endpoint: host:port; empty: nobody has heard of it
    yet. introduction: to the account there, of this unit for nobody in particular."""

    unit_id: str
    endpoint: str = ""
    introduction: str = ""


class MailHomes(Protocol):
    """Where accounts are at home that get mail. peer: who asks for them; fresh: what was answered
    last has turned out to be wrong. None: there is no such account. Raises Exhausted, Unavailable
    and what else the directory says."""

    async def of_handle(
        self, tenant: str, handle: str, peer: str, *, fresh: bool = False
    ) -> Resident | OtherUnit | None:
        """handle: in normal form."""
        ...

    async def of_account(
        self, tenant: str, account: str, peer: str, *, fresh: bool = False
    ) -> Resident | OtherUnit | None:
        """account: its id."""
        ...


class HandedMail(NamedTuple):
    """A mail as it came. sender: of MAIL FROM, empty for the null sender; recipient: of RCPT TO;
    results: of who looked at it where it came in."""

    sender: str
    recipient: str
    content: bytes
    results: tuple[MethodResult, ...]


class MailPeers(Protocol):
    """Other units. Both end on their own, and raise what the other unit said: NotFound where it
    takes no mail for that address, StaleEpoch where the account has moved; Unavailable where it
    said nothing, and then it may have the mail."""

    async def check(self, home: OtherUnit, recipient: str) -> None:
        """Whether it would take mail for an address: it raises nothing."""
        ...

    async def deliver(self, home: OtherUnit, mail: HandedMail) -> None:
        """It has the mail on disk when this returns."""
        ...
