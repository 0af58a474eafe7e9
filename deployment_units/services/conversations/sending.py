"""MessageDoors: the port through which conversations hand on what clients and units bring.

Whoever takes messages in gives them here, inside its own transaction. What becomes of them (who has
a copy at once, to whom they are brought) is the gateway's (see gateway.sending).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.message import KeptMessage, NewMessage


class Sent(NamedTuple):
    """message: as the account that sent it, or took it in, keeps it. kept_for: members who have it
    at once; elsewhere: those to whom it is on its way."""

    message: KeptMessage
    kept_for: tuple[str, ...]
    elsewhere: tuple[str, ...]


class MessageDoors(Protocol):
    """What is written inside the transaction `db`, where `owner` has the account's rows."""

    def send(
        self,
        db: sqlite3.Connection,
        owner: int,
        resident: Resident,
        message: NewMessage,
        members: Sequence[str],
        /,
    ) -> Sent:
        """A message of the resident's, or that it took in. members: of a new conversation, without
        the resident, in normal form and in order; of one that is there the same, or none. Raises
        NotFound, AlreadyExists, PermissionDenied, Exhausted."""
        ...

    def receive(
        self,
        db: sqlite3.Connection,
        owner: int,
        resident: Resident,
        message: NewMessage,
        members: Sequence[str],
        /,
    ) -> KeptMessage:
        """A message that another account brings to the resident: its `via`, or its sender. members:
        of the conversation, without the resident. Raises AlreadyExists, PermissionDenied."""
        ...

    def seen(
        self, db: sqlite3.Connection, owner: int, resident: Resident, conversation: bytes, /
    ) -> None:
        """The resident's clients have shown more of a conversation than before."""
        ...

    def acknowledged(
        self, db: sqlite3.Connection, owner: int, resident: Resident, position: int, /
    ) -> None:
        """A client of the resident has all messages up to this position."""
        ...

    def removed(
        self,
        db: sqlite3.Connection,
        owner: int,
        conversation: bytes,
        messages: Sequence[KeptMessage],
        /,
    ) -> None:
        """These messages of a conversation that the account removes are kept no more."""
        ...
