"""The values of conversations. Pure."""

from __future__ import annotations

from dataclasses import dataclass

ID_BYTES = 16
MAX_TEXT_BYTES = 64 << 10  # of UTF-8
MAX_MEMBERS = 64  # without the account itself
MAX_DEVICES = 64  # that one conversation was seen on


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message that is to be kept."""

    id: bytes
    conversation: bytes
    sender: str
    content: bytes  # as in the contract, encoded
    replaces: bytes = b""  # the message of which it is a revision; empty: of none
    revision: int = 0  # of that message; 0: the next one, as the sender's copy has it
    answers: bytes = b""  # the press that it answers, as its content says, too; empty: none

    @property
    def room_bytes(self) -> int:
        """No less than what keeping it takes, with the conversation that it may begin."""
        return len(self.content) + len(self.sender) + 512 + MAX_MEMBERS * 136


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMessage:
    """A message as one account keeps it."""

    position: int  # in the account; they grow
    id: bytes
    conversation: bytes
    sender: str
    content: bytes
    kept_ms: int  # Unix ms
    replaces: bytes = b""  # the message of which it is a revision; empty: of none
    revision: int = 1  # of that message

    @property
    def root(self) -> bytes:
        """The message of which it is a revision: itself, where it replaces none."""
        return self.replaces or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One conversation of an account."""

    id: bytes
    members: tuple[str, ...]  # without the account itself, in order
    last: int  # position of the newest message
    seen: tuple[tuple[str, int], ...] = ()  # by device
