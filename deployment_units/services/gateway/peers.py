"""Peers: the port through which a unit brings messages to accounts at home elsewhere. Pure.

What comes of it is a result and no error. A unit knows a message that it has already, so whatever
may have arrived is sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.gateway.told import MessageTold


class PeerOutcome(StrEnum):
    """TAKEN: the account's unit has it on disk. NOT_NOW: later it may; whether it has, is not
    known. REFUSED: for good."""

    TAKEN = "taken"
    NOT_NOW = "not_now"
    REFUSED = "refused"


class PeerResult(NamedTuple):
    """words: the other side's own, or ours where it said nothing. retry_after_s: not before; 0: the
    other side does not say."""

    outcome: PeerOutcome
    words: str
    retry_after_s: float = 0.0


class Peers(Protocol):
    """Where other accounts are at home."""

    async def deliver(
        self,
        sender: Resident,
        recipient: str,
        message: KeptMessage,
        members: Sequence[str],
    ) -> PeerResult:
        """Brings a message that the sender wrote or took in to another account. members: of the
        conversation, without the sender. Ends within ten seconds or so."""
        ...

    async def tell(self, teller: Resident, writer: str, told: Sequence[MessageTold]) -> PeerResult:
        """Tells another account what became of its messages. Ends as soon."""
        ...
