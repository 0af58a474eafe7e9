"""What every OutgoingChannel has to do. Subclasses say how its far side behaves."""

from __future__ import annotations

import pytest

from control_plane.errors import InvalidInput
from deployment_units.services.channels.port import (
    OutgoingChannel,
    OutgoingMessage,
    SendOutcome,
    SendResult,
)


def outgoing(address: str, **changes: object) -> OutgoingMessage:
    given: dict[str, object] = {
        "message_id": "01J8Z", "attempt_id": "01J8Z-1", "address": address, "text": "Hello",
        "reply_address": "reply+1-abc@talk.example",
    }  # fmt: skip
    return OutgoingMessage(**(given | changes))  # type: ignore[arg-type]


class OutgoingChannelContract:
    """address: of somebody who can be reached. far: "takes", "refuses", "busy", "silent"."""

    address: str
    no_address: str
    best: SendOutcome

    async def sent(self, far: str, message: OutgoingMessage) -> tuple[SendResult, OutgoingChannel]:
        raise NotImplementedError

    @pytest.mark.parametrize("far", ["takes", "refuses", "busy", "silent"])
    async def test_what_the_far_side_does_is_the_result(self, far: str) -> None:
        result, channel = await self.sent(far, outgoing(self.address))
        assert result.outcome is {
            "takes": self.best,
            "refuses": SendOutcome.REFUSED,
            "busy": SendOutcome.NOT_NOW,
            "silent": SendOutcome.UNKNOWN,
        }[far]  # fmt: skip
        assert 0 < len(result.words) <= 500
        assert isinstance(channel.knows_duplicates, bool)

    async def test_an_address_that_is_none_is_an_error(self) -> None:
        with pytest.raises(InvalidInput, match="address"):
            await self.sent("takes", outgoing(self.no_address))
