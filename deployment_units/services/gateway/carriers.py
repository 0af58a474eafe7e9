"""Carriers: who carries out what: other accounts are brought what is theirs; people without one,
and the account itself, are reached over channels."""

from __future__ import annotations

from deployment_units.services.conversations.members import is_uri
from deployment_units.services.gateway.kept import ITSELF, DeliveryRow
from deployment_units.services.gateway.outbox import Carrier
from deployment_units.services.state.owners import Owner


class Carriers:
    """A Carrier: of the two others, by recipient."""

    def __init__(self, to_accounts: Carrier, over_channels: Carrier) -> None:
        self._to_accounts = to_accounts
        self._over_channels = over_channels

    async def carry_out(self, owner: Owner, recipient: str, rows: list[DeliveryRow]) -> None:
        """See Carrier."""
        over_channels = recipient == ITSELF or is_uri(recipient)
        carrier = self._over_channels if over_channels else self._to_accounts
        await carrier.carry_out(owner, recipient, rows)
