"""MailPeersFake: other units that take mail, in memory."""

from __future__ import annotations

from control_plane.errors import NotFound, ServiceError
from deployment_units.services.mail_in.other_units import HandedMail, OtherUnit


class MailPeersFake:
    """A MailPeers. addresses: for which they take mail; errors: what the next calls come to; mails:
    that they have, each once."""

    def __init__(self) -> None:
        self.addresses: set[str] = set()
        self.errors: list[ServiceError] = []
        self.mails: list[tuple[str, HandedMail]] = []

    async def check(self, home: OtherUnit, recipient: str) -> None:
        """See MailPeers."""
        if self.errors:
            raise self.errors.pop(0)
        if recipient not in self.addresses:
            raise NotFound("nobody here has that address")

    async def deliver(self, home: OtherUnit, mail: HandedMail) -> None:
        """See MailPeers."""
        await self.check(home, mail.recipient)
        if (home.unit_id, mail) not in self.mails:
            self.mails.append((home.unit_id, mail))
