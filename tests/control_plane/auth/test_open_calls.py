"""Streams that stand end when their caller's credential does, and only then."""

from __future__ import annotations

import asyncio

import pytest

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.method_access import access_of_services
from control_plane.auth.open_calls import Evidence, OpenCalls
from control_plane.auth.roles import Role, with_implied
from control_plane.auth.tokens import TokenEntry, Tokens, digest_of
from control_plane.errors import Unauthenticated
from homeport.api.fleet.v1 import fleet_pb2 as _fleet  # noqa: F401  # so that its methods are known
from tests.support.credentials import authenticator_of, bearer

FLEET = "homeport.api.fleet.v1.FleetService"
WATCH = f"/{FLEET}/WatchFleet"
ANN = Caller(name="ann", roles=with_implied({Role.VIEWER}))


class Source:
    """Tokens that a test replaces; counts how often they are asked for."""

    def __init__(self, **entries: TokenEntry) -> None:
        self.asked = 0
        self.put(**entries)

    def put(self, **entries: TokenEntry) -> None:
        self._tokens = Tokens({digest_of(token): entry for token, entry in entries.items()})

    def current(self) -> Tokens:
        self.asked += 1
        return self._tokens


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Setting:
    def __init__(self, **entries: TokenEntry) -> None:
        self.clock = Clock()
        self.source = Source(**entries)
        self.control = AccessControl(
            access_of_services([FLEET]), authenticator_of(self.source, wall=self.clock)
        )
        self.open_calls = OpenCalls(self.control)

    def stream(self, token: str = "t") -> asyncio.Task[str]:
        """A call that stands until its caller leaves."""
        shown = tuple(bearer(token))
        caller = self.control.admit(WATCH, shown)

        async def work() -> str:
            with self.open_calls.while_open(Evidence(WATCH, shown, None), caller):
                await asyncio.Event().wait()
            return "left"

        return asyncio.create_task(work())


@pytest.fixture
async def setting():
    return Setting(t=TokenEntry(caller=ANN, expires_at=100.0), u=TokenEntry(caller=ANN))


async def ended(setting: Setting, *streams: asyncio.Task[str]) -> list[bool]:
    """Whether each ended after one round."""
    await asyncio.sleep(0)
    await setting.open_calls.look()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return [stream.done() for stream in streams]


async def stop(*streams: asyncio.Task[str]) -> None:
    for stream in streams:
        stream.cancel()
    await asyncio.wait(streams)


async def test_a_revoked_token_ends_its_streams_alone(setting):
    first, second = setting.stream("t"), setting.stream("u")
    assert await ended(setting, first, second) == [False, False]
    setting.source.put(u=TokenEntry(caller=ANN))
    assert await ended(setting, first, second) == [True, False]
    with pytest.raises(Unauthenticated, match="does not count any more"):
        await first
    assert setting.open_calls.ended == 1
    await stop(second)
    assert len(setting.open_calls) == 0


async def test_an_expired_token_ends_its_streams(setting):
    stream = setting.stream()
    setting.clock.now = 100.0
    assert await ended(setting, stream) == [True]
    with pytest.raises(Unauthenticated):
        await stream


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Caller(name="ann", roles=frozenset({Role.ANYONE})), id="roles-taken-away"),
        pytest.param(Caller(name="ann", roles=ANN.roles, tenant="city"), id="another-tenant"),
        pytest.param(Caller(name="ann", roles=with_implied({Role.UNIT}),
                            units=frozenset({"a"})), id="another-kind"),
    ],
)  # fmt: skip
async def test_somebody_else_by_now_ends_it(setting, other):
    stream = setting.stream()
    setting.source.put(t=TokenEntry(caller=other))
    assert await ended(setting, stream) == [True]
    with pytest.raises(Unauthenticated):
        await stream


async def test_a_caller_that_leaves_is_no_refusal(setting):
    stream = setting.stream()
    await asyncio.sleep(0)
    stream.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stream
    assert setting.open_calls.ended == 0


async def test_each_credential_is_looked_at_once_a_round(setting):
    streams = [setting.stream() for _ in range(1_000)]
    await asyncio.sleep(0)
    setting.source.asked = 0
    await setting.open_calls.look()
    assert setting.source.asked == 1
    await stop(*streams)


async def test_where_nobody_is_asked_for_credentials_nothing_ends():
    open_calls = OpenCalls(AccessControl(access_of_services([FLEET]), None))
    evidence = Evidence(WATCH, (), None)

    async def work() -> None:
        with open_calls.while_open(evidence, ANN):
            await asyncio.sleep(0)
            await open_calls.look()

    await work()
    assert open_calls.ended == 0
