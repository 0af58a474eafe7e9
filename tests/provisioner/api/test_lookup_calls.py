"""Resolve as it comes in: answered at once by what is remembered, else by a task that has a
deadline; the same to whoever asks either way."""

from __future__ import annotations

import asyncio
import random
from base64 import urlsafe_b64decode
from types import SimpleNamespace
from typing import Any

import msgspec
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
)
from control_plane.identity.introductions import IntroductionIssuer
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from control_plane.serving.calls import HotCall
from control_plane.serving.peers import Proxies
from homeport.api.directory.v1 import directory_pb2 as pb
from provisioner.api.callers import Callers
from provisioner.api.directory_service import NAME
from provisioner.api.lookup_calls import LookupCalls
from provisioner.directory.budgets import LookupBudgets
from provisioner.directory.replica import ReadReplica
from provisioner.directory.resolving import Resolver, clients_that_left, itself
from tests.support.credentials import authenticator_of, bearer, tokens_of
from tests.support.directory_servers import (
    TENANT,
    Clock,
    DirectoryServer,
    homes,
    request,
)
from tests.support.fakes.network_store import NetworkStore

RING = KeyRing(epochs=(new_epoch(1, now=0.0, random=random.Random(2).randbytes),))
LONDON = Caller(name="london", roles=with_implied({Role.UNIT}), units=frozenset({"london"}))
ELSEWHERE = Caller(
    name="elsewhere", roles=with_implied({Role.OPERATOR}), tenant="northwind"
)  # fmt: skip


class Call(HotCall):
    """One call, and what was answered."""

    def __init__(self, request: pb.ResolveRequest | bytes, token: str = "") -> None:
        self.payload = request if isinstance(request, bytes) else request.SerializeToString()
        self._metadata = bearer(token) if token else ()
        self.answered: asyncio.Future[pb.ResolveResponse] = (
            asyncio.get_running_loop().create_future()
        )

    def metadata(self) -> Any:
        return self._metadata

    def peer(self) -> str:
        return "ipv4:192.0.2.1:5"

    def peer_identity(self) -> None:
        return None

    def time_left_s(self) -> float | None:
        return 30.0

    def reply(self, response: bytes) -> None:
        self.answered.set_result(pb.ResolveResponse.FromString(response))

    def fail(self, error: ServiceError) -> None:
        self.answered.set_exception(error)


class Door:
    """Lookups over a store without faults, whose watch the test stands in for."""

    def __init__(self) -> None:
        self.store = NetworkStore()
        self.server = DirectoryServer(self.store)
        self.claims = ReadReplica(self.store, keys.DIRECTORY, itself)
        self.homes = ReadReplica(self.store, keys.WHO_LEFT, clients_that_left)
        for one in (self.claims, self.homes):
            one._watching = True
        resolver = Resolver(
            self.claims,
            self.homes,
            self.server.registrar,
            LookupBudgets(clock=Clock()),
            secrets=lambda: self.server.secrets,
            endpoint_of=lambda unit: f"{unit}.example:443",
            introductions=IntroductionIssuer(TicketIssuer(RING)),
            wall=self.server.clock,
        )
        control = AccessControl(
            access_of_services([NAME]),
            authenticator_of(tokens_of(london=LONDON, elsewhere=ELSEWHERE)),
        )
        view: Any = SimpleNamespace(tenant_or_raise=self._tenant)
        self.calls = LookupCalls(resolver, view, Callers(Proxies(), control))

    def _tenant(self, name: str) -> Any:
        if name not in (TENANT, "northwind"):
            raise NotFound("there is no such tenant")
        return SimpleNamespace(id=name)

    async def ask(self, asked: pb.ResolveRequest | bytes, token: str = "london"):
        call = Call(asked, token)
        self.calls.begin(call)
        return await call.answered


@pytest.fixture
async def door():
    made = Door()
    await homes(made.store, "anna", "ben")
    await made.server.handles.claim(TENANT, "anna", "anna", None, request=request())
    task = asyncio.create_task(made.calls.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def asked(text: str = "@anna", *, unit: str = "london", **more: Any) -> pb.ResolveRequest:
    return pb.ResolveRequest(
        tenant=more.pop("tenant", TENANT), identifier=pb.Identifier(uri=text),
        viewer=more.pop("viewer", "ben"), home=pb.ActingHome(unit_id=unit, epoch=1), **more,
    )  # fmt: skip


async def test_what_was_read_before_is_answered_at_once_and_alike(door):
    first = await door.ask(asked())
    commits = door.store.commits
    call = Call(asked(), "london")
    door.calls.begin(call)
    assert call.answered.done()
    assert door.store.commits == commits
    again = call.answered.result()
    assert [one.account for one in again.residences] == ["anna"]
    assert again.residences == first.residences
    assert again.residences[0].introduction


async def test_what_is_asked_for_fresh_is_read(door):
    await door.ask(asked())
    commits = door.store.commits
    await door.ask(asked(fresh=True))
    assert door.store.commits > commits


async def test_nobody_is_found_either_way_in_the_same_words(door):
    said = []
    for _ in range(2):
        with pytest.raises(NotFound) as refused:
            await door.ask(asked("@nobody"))
        said.append(refused.value.message)
    assert said[0] == said[1]


async def test_a_claim_that_somebody_is_at_is_looked_at_in_the_store(door):
    await door.ask(asked())
    (key,) = [key for key in door.claims._known if b"/handles/" in key]
    pair = door.claims._known[key]
    pending = pair.value[:-1] + (
        b',"pending":{"holder":{"account":"ben"},"request":"r","session":"gone"}}'
    )
    door.claims._known[key] = pair._replace(value=pending)
    assert [one.account for one in (await door.ask(asked())).residences] == ["anna"]


@pytest.mark.parametrize("warm", [False, True])
async def test_a_viewer_is_asked_for_by_its_home_alone(door, warm):
    if warm:
        await door.ask(asked())
    with pytest.raises(PermissionDenied):
        await door.ask(asked(unit="paris"))
    stale = asked()
    stale.home.epoch = 2
    with pytest.raises(ServiceError) as refused:
        await door.ask(stale)
    assert refused.value.reason == "STALE_EPOCH"


@pytest.mark.parametrize(
    ("token", "error"), [("", Unauthenticated), ("elsewhere", PermissionDenied)]
)
async def test_a_stranger_and_another_tenants_operator_are_turned_away(door, token, error):
    with pytest.raises(error):
        await door.ask(asked(), token)


async def test_what_is_no_request_is_told_so(door):
    with pytest.raises(ServiceError) as refused:
        await door.ask(b"\x0a\x02\xff\xff")
    assert "ResolveRequest" in refused.value.message


async def test_a_store_that_is_away_is_told_and_what_is_remembered_is_stale(door):
    await door.ask(asked())
    door.store.away, door.store.health.connected = True, False
    assert (await door.ask(asked())).stale
    with pytest.raises(ServiceError) as refused:
        await door.ask(asked("@ben"))
    assert refused.value.retry_after_s


async def test_who_waits_when_it_ends_is_told(door):
    door.store._rng = random.Random(1)  # a network that takes a while
    calls = [Call(asked("@nobody"), "london") for _ in range(3)]
    lookups = LookupCalls(
        door.calls._resolver, door.calls._fleet_view, door.calls._callers
    )  # fmt: skip
    task = asyncio.create_task(lookups.run())
    for call in calls:
        lookups.begin(call)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    done = await asyncio.gather(*(one.answered for one in calls), return_exceptions=True)
    assert all(isinstance(one, ServiceError) for one in done)


def for_nobody(**more: Any) -> pb.ResolveRequest:
    return pb.ResolveRequest(tenant=TENANT, home=pb.ActingHome(unit_id="london"), **more)


@pytest.mark.parametrize("more", [{"identifier": pb.Identifier(uri="@anna")}, {"account": "anna"}])
async def test_a_unit_asks_for_nobody_in_particular(door: Door, more: dict[str, Any]) -> None:
    for fresh in (True, False):
        (found,) = (await door.ask(for_nobody(fresh=fresh, **more))).residences
        claims = msgspec.json.decode(b64url(found.introduction.split(".")[1]))
        assert (found.account, claims["viewer"], claims["unit"]) == ("anna", "", "london")


@pytest.mark.parametrize("uri", ["mailto:anna@mail.example", "tel:+442079460018"])
async def test_but_not_by_what_not_everybody_may_find(door: Door, uri: str) -> None:
    with pytest.raises(InvalidInput, match="viewer is empty"):
        await door.ask(for_nobody(identifier=pb.Identifier(uri=uri)))


async def test_nor_for_another_unit(door: Door) -> None:
    request = for_nobody(identifier=pb.Identifier(uri="@anna"))
    request.home.unit_id = "paris"
    with pytest.raises(PermissionDenied):
        await door.ask(request)


def b64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
