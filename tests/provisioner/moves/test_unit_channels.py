"""Connections to units: kept while they are used, and up to a bound when they are idle."""

from __future__ import annotations

from contextlib import AsyncExitStack

from control_plane.serving.dialing import dialer
from provisioner.moves.unit_channels import UnitChannels

# Channels connect when a call is made, and none is made here.
A, B, C = "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"


class Dialing:
    """Opens channels and knows for whom."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self._connect = dialer(None)

    def __call__(self, endpoint: str):
        self.opened.append(endpoint)
        return self._connect(endpoint)


async def test_an_idle_connection_is_used_again_until_there_are_too_many():
    dialing = Dialing()
    channels = UnitChannels(dialing, max_channels=1)
    for endpoint in (A, A, B, A):
        async with channels.stub(endpoint):
            pass
    assert dialing.opened == [A, B, A]
    await channels.close()


async def test_the_connection_used_longest_ago_goes_first():
    dialing = Dialing()
    channels = UnitChannels(dialing, max_channels=2)
    for endpoint in (A, B, A, C, A):
        async with channels.stub(endpoint):
            pass
    assert dialing.opened == [A, B, C]
    await channels.close()


async def test_connections_in_use_stay_however_many():
    dialing = Dialing()
    channels = UnitChannels(dialing, max_channels=1)
    async with AsyncExitStack() as stack:
        for endpoint in (A, B, C):
            await stack.enter_async_context(channels.stub(endpoint))
        for endpoint in (A, B, C):
            async with channels.stub(endpoint):
                pass
    assert dialing.opened == [A, B, C]
    await channels.close()
