"""What an SMTP server is told of a mail, and the port through which it asks and hands over. Pure.

The server speaks RFC 5321 and keeps its bounds; whether somebody is there, and what becomes of a
mail, is its taker's to say. What a taker answers goes to the other side as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSession:
    """Who brings a mail. peer: an IPv4 or IPv6 literal; helo: what it calls itself; sender: of
    MAIL FROM, empty for the null sender; encrypted: it came over TLS."""

    peer: str
    helo: str
    sender: str
    encrypted: bool = False


class SmtpReply(NamedTuple):
    """A code of RFC 5321, an enhanced one of RFC 3463, and words; as it is sent, in one line."""

    code: int
    enhanced: str
    words: str

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced} {self.words}"

    @property
    def taken(self) -> bool:
        """Whether it says yes."""
        return 200 <= self.code < 300


RECIPIENT_OK: Final = SmtpReply(250, "2.1.5", "go on")
NO_RELAY: Final = SmtpReply(550, "5.7.1", "we take no mail for that domain, and pass none on")
NOBODY: Final = SmtpReply(550, "5.1.1", "nobody here has that address")
LATER: Final = SmtpReply(451, "4.3.0", "it cannot be taken right now; try again later")


class MailTaker(Protocol):
    """Who is there, and what becomes of mail. Both end on their own, whatever is away, and raise
    nothing: what cannot be done now is a reply of 4yz."""

    async def recipient(self, session: MailSession, address: str) -> SmtpReply:
        """Whether mail for an address would be taken; asked before there is any."""
        ...

    async def take(self, session: MailSession, recipient: str, content: bytes) -> SmtpReply:
        """A mail for one recipient that was said to be there. Where the reply is 2yz it is kept.
        The same mail may come again."""
        ...
