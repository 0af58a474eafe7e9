"""Texts by SIP: what is said of them, and how many messages one takes."""

from __future__ import annotations

import pytest

from control_plane.errors import InvalidInput
from deployment_units.services.channels.port import SendOutcome, SendResult
from deployment_units.services.channels.sip_message import MOST_BYTES, SipMessage
from tests.support.contracts.outgoing_channel_contract import outgoing
from tests.support.fakes.sip_line import SipLine

OURS, DEV = "+442079460100", "+442079460302"


def channel(line: SipLine) -> SipMessage:
    return SipMessage(line.send, number=OURS, clock=lambda: 0.0)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, SendResult(SendOutcome.DELIVERED, "200 from the far side")),
        (202, SendResult(SendOutcome.HANDED_OVER, "202 from the far side")),
        (404, SendResult(SendOutcome.REFUSED, "404 from the far side")),
        (503, SendResult(SendOutcome.NOT_NOW, "503 from the far side")),
        (408, SendResult(SendOutcome.UNKNOWN, "no answer from the far side")),
        (None, SendResult(SendOutcome.NOT_NOW, "there is no call server right now")),
    ],
)
async def test_what_is_said_is_what_the_far_side_said(
    status: int | None, result: SendResult
) -> None:
    line = SipLine(status)
    assert await channel(line).send(outgoing(f"tel:{DEV}"), within_s=5) == result
    assert line.sent == [(DEV, OURS, "Hello")]


async def test_what_fits_into_one_message_is_one() -> None:
    line = SipLine()
    await channel(line).send(outgoing(f"tel:{DEV}", texts=("Coming", "?")), within_s=5)
    assert [one[2] for one in line.sent] == ["Coming?"]


async def test_a_part_that_arrived_is_not_sent_again() -> None:
    parts = ("x" * MOST_BYTES, "y" * 10)
    line = SipLine(after=503)
    result = await channel(line).send(outgoing(f"tel:{DEV}", texts=parts), within_s=5)
    assert result == SendResult(SendOutcome.UNKNOWN, "a part of it: 503 from the far side")
    whole = SipLine()
    result = await channel(whole).send(outgoing(f"tel:{DEV}", texts=parts), within_s=5)
    assert result.outcome is SendOutcome.DELIVERED
    assert len(whole.sent) == 2


async def test_what_no_message_holds_is_refused() -> None:
    text = "x" * (MOST_BYTES + 1)
    with pytest.raises(InvalidInput, match="text"):
        await channel(SipLine()).send(outgoing(f"tel:{DEV}", texts=(text,)), within_s=5)
