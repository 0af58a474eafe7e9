"""The values of conversations. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

ID_BYTES = 16
MAX_TEXT_BYTES = 64 << 10  # of UTF-8
MAX_HTML_BYTES = 256 << 10  # of UTF-8
MAX_MEMBERS = 64  # without the account itself
MAX_DEVICES = 64  # that one conversation was seen on


class Addressing(NamedTuple):
    """As which identifier of the sender's a message is written; empty: none in particular; and at
    which identifiers members are written to, by member, in order: those who are not named, as who
    they are. False: it says neither."""

    contactor: str = ""
    contactees: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.contactor or self.contactees)

    def of(self, member: str) -> Addressing:
        """As one member may know it."""
        return Addressing(self.contactor, tuple(one for one in self.contactees if one[0] == member))


UNADDRESSED = Addressing()


class NewMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is to be kept. sender: who wrote it, an account or a URI (see members); via:
    of a URI's, the account that took it in; handling: as `handling` encodes it; addressing: as its
    content says, too."""

    id: bytes
    conversation: bytes
    sender: str
    content: bytes  # as in the contract, encoded
    replaces: bytes = b""  # the message of which it is a revision; empty: of none
    revision: int = 0  # of that message; 0: the next one, as the sender's copy has it
    answers: bytes = b""  # the press that it answers, as its content says, too; empty: none
    refused: bool = False  # that press was not taken, as its content says, too
    via: str = ""
    handling: str = ""
    addressing: Addressing = UNADDRESSED

    @property
    def bringer(self) -> str:
        """The account that wrote it, or passes on what somebody without one wrote."""
        return self.via or self.sender

    def room_bytes(self, members: Collection[str]) -> int:
        """No less than what keeping it takes, with the conversation that it may begin."""
        names = sum(6 * len(one) + 8 for one in (self.sender, self.via, *members))
        return len(self.content) + len(self.handling) + names + 512


class KeptMessage(NamedTuple):
    """A message as one account keeps it. Fields in the order of the table's columns."""

    position: int  # in the account; they grow
    id: bytes
    conversation: bytes
    sender: str
    content: bytes
    kept_ms: int  # Unix ms
    replaces: bytes = b""  # the message of which it is a revision; empty: of none
    revision: int = 1  # of that message
    via: str = ""
    handling: str = ""

    @property
    def root(self) -> bytes:
        """The message of which it is a revision: itself, where it replaces none."""
        return self.replaces or self.id

    @property
    def bringer(self) -> str:
        """As in NewMessage."""
        return self.via or self.sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One conversation of an account."""

    id: bytes
    members: tuple[str, ...]  # without the account itself, in order
    last: int  # position of the newest message
    seen: tuple[tuple[str, int], ...] = ()  # by device
