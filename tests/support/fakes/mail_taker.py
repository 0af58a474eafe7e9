"""MailTaker: mailboxes that are lists, behind an SMTP server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from deployment_units.services.mail_in.incoming import (
    NOBODY,
    RECIPIENT_OK,
    MailSession,
    SmtpReply,
)

KEPT = SmtpReply(250, "2.0.0", "kept")


@dataclass
class MailboxTaker:
    """there: who has a mailbox. says: to each mail. holds: set, it says nothing before."""

    there: tuple[str, ...] = ("anna@talk.example",)
    says: SmtpReply = KEPT
    holds: asyncio.Event | None = None
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)
    mails: list[tuple[MailSession, str, bytes]] = field(default_factory=list)

    async def recipient(self, session: MailSession, address: str) -> SmtpReply:
        """See MailTaker."""
        self.asked.append(address)
        return RECIPIENT_OK if address in self.there else NOBODY

    async def take(self, session: MailSession, recipient: str, content: bytes) -> SmtpReply:
        """See MailTaker."""
        if self.holds is not None:
            await self.holds.wait()
        if self.error is not None:
            raise self.error
        self.mails.append((session, recipient, content))
        return self.says
