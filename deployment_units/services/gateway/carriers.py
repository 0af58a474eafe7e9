"""Carriers: who carries out what: accounts are brought what is theirs, others are sent it."""

from __future__ import annotations

from deployment_units.services.conversations.members import is_uri
from deployment_units.services.gateway.kept import DeliveryRow
from deployment_units.services.gateway.outbox import Carrier
from deployment_units.services.state.owners import Owner


class Carriers:
    """A Carrier: of the two others, by recipient."""

    def __init__(self, to_accounts: Carrier, to_uris: Carrier) -> None:
        self._to_accounts = to_accounts
        self._to_uris = to_uris

    async def carry_out(self, owner: Owner, recipient: str, rows: list[DeliveryRow]) -> None:
        """See Carrier."""
        carrier = self._to_uris if is_uri(recipient) else self._to_accounts
        await carrier.carry_out(owner, recipient, rows)
