"""SipLine: a call server for texts whose far side answers with one status."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class SipLine:
    """status: of the far side, 408 where it says nothing; None: there is no call server. after: of
    all texts but the first. sent: to whom, shown as whom, what."""

    status: int | None = 200
    after: int | None = 200
    sent: list[tuple[str, str | None, str]] = field(default_factory=list)

    async def send(
        self, target: str, shown: str | None, text: str, *, within_s: float
    ) -> int | None:
        """See SendSip."""
        self.sent.append((target, shown, text))
        return self.status if len(self.sent) == 1 else self.after
