"""ClaimHandle as it comes in: a unit's is answered beside the ordinary way, an operator's is left
to it, and whoever may not claim is turned away as there."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from control_plane import keys
from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.method_access import access_of_services
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import (
    InvalidInput,
    NotFound,
    PermissionDenied,
    ServiceError,
    Unauthenticated,
    Unavailable,
)
from control_plane.serving.calls import HotCall
from control_plane.serving.peers import Proxies
from control_plane.store.grouped_store import GroupedStore
from control_plane.store.port import Put, Txn
from homeport.api.directory.v1 import directory_pb2 as pb
from provisioner.api.callers import Callers
from provisioner.api.claim_calls import ClaimCalls
from provisioner.api.directory_service import NAME, DirectoryService
from provisioner.api.waiting_calls import WaitingCalls
from provisioner.ledger.recent_assignments import RecentAssignments
from tests.support.credentials import authenticator_of, bearer, tokens_of
from tests.support.directory_servers import TENANT, DirectoryServer, homes
from tests.support.fakes.network_store import NetworkStore
from tests.support.grouped_stores import running_groups

LONDON = Caller(name="london", roles=with_implied({Role.UNIT}), units=frozenset({"london"}))
PARIS = Caller(name="paris", roles=with_implied({Role.UNIT}), units=frozenset({"paris"}))
OPERATOR = Caller(name="operator", roles=with_implied({Role.OPERATOR}))
BOTH = Caller(name="both", roles=with_implied({Role.UNIT, Role.OPERATOR}))
VIEWER = Caller(name="viewer", roles=with_implied({Role.VIEWER}))
ELSEWHERE = Caller(
    name="elsewhere", roles=with_implied({Role.UNIT}), tenant="northwind",
    units=frozenset({"london"}),
)  # fmt: skip


class Call(HotCall):
    """One call, and what was answered."""

    def __init__(self, payload: bytes, token: str, left_s: float = 30.0) -> None:
        self.payload = payload
        self._metadata = bearer(token) if token else ()
        self._left_s = left_s
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def metadata(self) -> Any:
        return self._metadata

    def peer(self) -> str:
        return "ipv4:192.0.2.1:5"

    def peer_identity(self) -> None:
        return None

    def time_left_s(self) -> float | None:
        return self._left_s

    def reply(self, response: bytes) -> None:
        self.answered.set_result(response)

    def fail(self, error: ServiceError) -> None:
        self.answered.set_exception(error)


class Door:
    """Claims over a store without faults."""

    def __init__(self, store: NetworkStore, grouped: GroupedStore) -> None:
        self.store = store
        self.server = DirectoryServer(grouped)
        self.recent = RecentAssignments()
        control = AccessControl(
            access_of_services([NAME]),
            authenticator_of(
                tokens_of(
                    london=LONDON,
                    paris=PARIS,
                    operator=OPERATOR,
                    both=BOTH,
                    viewer=VIEWER,
                    elsewhere=ELSEWHERE,
                )
            ),
        )
        view: Any = SimpleNamespace(tenant_or_raise=self._tenant)
        directory: Any = SimpleNamespace(
            handles=self.server.handles, first_claims=self.server.first_claims(self.recent.take)
        )
        callers = Callers(Proxies(), control)
        service = DirectoryService(directory, view, callers, cast(Any, None), new_id=lambda: "r")
        self.calls = ClaimCalls(service, callers)

    def _tenant(self, name: str) -> Any:
        if name != TENANT:
            raise NotFound("there is no such tenant")
        return SimpleNamespace(id=name)

    def begin(self, asked: pb.ClaimHandleRequest, token: str) -> tuple[Call, bool]:
        call = Call(asked.SerializeToString(), token)
        return call, self.calls.begin(call)

    async def holder(self) -> str:
        try:
            return (await self.server.handles.holder_of(TENANT, "anna")).account
        except NotFound:
            return ""


@pytest.fixture
async def door():
    store = NetworkStore()
    await homes(store, "anna")
    async with running_groups(store) as grouped:
        made = Door(store, grouped)
        task = asyncio.create_task(made.calls.run())
        yield made
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def knowing(door):
    """A door whose server has just given the account its home."""
    found = await door.store.get(keys.assignment(TENANT, "anna"))
    door.recent.give(found.key, found.value, found.mod_revision)
    return door


def asked(**more: Any) -> pb.ClaimHandleRequest:
    return pb.ClaimHandleRequest(
        tenant=TENANT, account="anna", handle="@anna",
        home=more.pop("home", pb.ActingHome(unit_id="london", epoch=1)), **more,
    )  # fmt: skip


async def test_a_home_claims_for_its_account(door):
    call, taken = door.begin(asked(), "london")
    answer = pb.ClaimHandleResponse.FromString(await call.answered)
    assert taken
    assert answer.handle == "anna"
    assert answer.revision > 0
    assert await door.holder() == "anna"


async def test_nothing_is_read_for_an_account_that_has_just_got_its_home(knowing):
    before = knowing.store.commits
    call, taken = knowing.begin(asked(), "london")
    answer = pb.ClaimHandleResponse.FromString(await call.answered)
    assert taken
    assert (answer.handle, knowing.store.commits) == ("anna", before + 1)
    assert await knowing.holder() == "anna"


async def test_what_was_supposed_wrongly_is_read_and_claimed_all_the_same(knowing):
    found = await knowing.store.get(keys.assignment(TENANT, "anna"))
    await knowing.store.commit(Txn(then=[Put(found.key, found.value)]))
    call, _ = knowing.begin(asked(), "london")
    assert pb.ClaimHandleResponse.FromString(await call.answered).handle == "anna"
    assert knowing.server.registrar.claims.refused == 1


async def test_while_the_store_is_away_a_claim_is_told_so(knowing):
    knowing.store.away = True
    call, _ = knowing.begin(asked(), "london")
    with pytest.raises(Unavailable):
        await call.answered


@pytest.mark.parametrize("token", ["operator", "both"])
async def test_what_is_in_the_audit_log_is_left_to_the_ordinary_way(door, token):
    call, taken = door.begin(asked(), token)
    assert not taken
    assert not call.answered.done()
    assert await door.holder() == ""


async def test_what_is_no_request_is_left_to_whoever_says_so(door):
    assert not door.calls.begin(Call(b"\xff", "london"))


@pytest.mark.parametrize(
    ("token", "error"),
    [
        pytest.param("", Unauthenticated, id="nobody"),
        pytest.param("viewer", PermissionDenied, id="who may look alone"),
        pytest.param("paris", PermissionDenied, id="in another unit's name"),
        pytest.param("elsewhere", PermissionDenied, id="another tenant's"),
    ],
)
async def test_whoever_may_not_is_turned_away(door, token, error):
    call, taken = door.begin(asked(), token)
    assert taken
    with pytest.raises(error):
        await call.answered
    assert await door.holder() == ""


@pytest.mark.parametrize(
    ("home", "error"),
    [
        pytest.param(pb.ActingHome(unit_id="london", epoch=2), "STALE_EPOCH", id="has left"),
        pytest.param(pb.ActingHome(unit_id="london"), "INVALID_INPUT", id="no epoch"),
    ],
)
async def test_a_home_that_is_none_claims_nothing(door, home, error):
    call, _ = door.begin(asked(home=home), "london")
    with pytest.raises(ServiceError) as refused:
        await call.answered
    assert refused.value.reason == error
    assert await door.holder() == ""


async def test_a_call_that_takes_longer_than_it_may_is_told_so():
    calls = WaitingCalls(within_s=60.0, too_late=lambda: InvalidInput("time", "too late"))
    call, never = Call(b"", "", left_s=0.0), asyncio.Event()
    task = asyncio.create_task(calls.run())

    async def wait() -> bytes:
        await never.wait()
        return b""

    calls.add(call, wait)
    with pytest.raises(InvalidInput):
        await call.answered
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_calls_that_wait_when_the_server_ends_are_told_to_try_again():
    calls = WaitingCalls(within_s=60.0, too_late=lambda: InvalidInput("time", "too late"))
    begun, waits = Call(b"", ""), Call(b"", "")
    under_way, never = asyncio.Event(), asyncio.Event()

    async def wait() -> bytes:
        under_way.set()
        await never.wait()
        return b""

    calls.add(begun, wait)
    task = asyncio.create_task(calls.run())
    await under_way.wait()
    calls.add(waits, wait)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for call in (begun, waits):
        with pytest.raises(Unavailable):
            await call.answered
