"""A crowded desk: known clients are served, new ones are turned away, each with its own delay.

The real desk and ledger over a real embedded store; only the turnstile is set by hand.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.errors import ServiceError
from control_plane.fleet.registry import UnitRegistry
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.identity.admission import Reason, TicketVerifier
from control_plane.identity.departures import Departed
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import EDDSA, HS256, TicketIssuer
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Health, StoreUnavailable
from provisioner.fleet_view import FleetView
from provisioner.geo.locator import Locator
from provisioner.geo.reloading import GeoReloader
from provisioner.ledger.ledger import Ledger
from provisioner.placement.filters import PlacementPolicy
from provisioner.provisioning.admission_control import Overloaded
from provisioner.provisioning.provisioner import Provisioner
from provisioner.provisioning.ticket_fallback import FallbackResponder, TicketFallback
from provisioner.provisioning.ticket_signer import TicketSigner
from tests.support.servers import units

RING = KeyRing(epochs=(new_epoch(1, now=0.0, random=os.urandom),))
RING_ISSUER = TicketIssuer(RING)


class Sink:
    """Waits for one client's answer."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes | ServiceError]
        self.answer = asyncio.get_running_loop().create_future()

    def reply(self, response: bytes) -> None:
        self.answer.set_result(response)

    def fail(self, error: ServiceError) -> None:
        self.answer.set_result(error)


class Scene:
    def __init__(self, provisioner: Provisioner, fallback: TicketFallback) -> None:
        self.provisioner = provisioner
        self.fallback = fallback

    async def ask(self, client_id: str) -> bytes | ServiceError:
        sink = Sink()
        self.begin(client_id, sink)
        return await sink.answer

    def begin(self, client_id: str, sink: Sink | FallbackResponder) -> None:
        try:
            self.provisioner.provision(DEFAULT_TENANT, client_id, "81.2.69.142", None, sink)
        except ServiceError as error:
            sink.fail(error)

    def close_for_new_ones(self, *, away: bool = False) -> None:
        self.provisioner.admission.look(
            waiting=0, served=0, seconds=0.1, standing=False, connected=not away
        )


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    rng = random.Random(3)
    store = await EmbeddedStore.open(tmp_path / "store.db")
    registry = UnitRegistry(store, clock=time.monotonic, wall=time.time)
    for spec in units(dublin=100, virginia=100):
        await registry.apply(spec)
    ledger = Ledger(
        store, clock=time.monotonic, jitter=lambda: 0.1, new_id=lambda: f"p-{rng.random()}"
    )
    await ledger.start()
    fleet_view = FleetView(store, clock=time.monotonic)
    await fleet_view.start()
    with ThreadPoolExecutor(1) as signers:
        tickets = TicketSigner(TicketIssuer(RING), wall=time.time, signers=signers)
        provisioner = Provisioner(
            fleet_view=fleet_view, locator=Locator(GeoReloader.open(None), None), ledger=ledger,
            tickets=tickets, policy=PlacementPolicy(nowhere="spread"), clock=time.monotonic,
            wall=time.time, jitter=rng.random,
        )  # fmt: skip
        running = asyncio.create_task(ledger.run())
        yield Scene(
            provisioner,
            TicketFallback(
                provisioner, tickets, Health(connected=True), grace_s=60, wall=time.time
            ),
        )
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    await store.close()


async def test_known_clients_are_served_and_new_ones_are_told_when_to_come_back(
    scene: Scene,
) -> None:
    known = [f"known-{n}" for n in range(20)]
    for name in known:
        assert isinstance(await scene.ask(name), bytes)
    scene.close_for_new_ones()
    names = [name for pair in zip(known, (f"new-{n}" for n in range(20)), strict=True)
             for name in pair]  # fmt: skip
    answers = await asyncio.gather(*(scene.ask(name) for name in names))
    for name, answer in zip(names, answers, strict=True):
        assert isinstance(answer, bytes if name in known else Overloaded), name
    delays = {error.retry_after_s for error in answers if isinstance(error, ServiceError)}
    assert len(delays) == 20
    assert scene.provisioner.under_way == 0
    assert scene.provisioner.admission.turned_away == 20


async def test_while_the_store_is_away_new_ones_are_told_so_without_asking_it(
    scene: Scene,
) -> None:
    scene.close_for_new_ones(away=True)
    sink = Sink()
    scene.begin("new", sink)
    assert sink.answer.done()
    assert isinstance(sink.answer.result(), StoreUnavailable)


async def test_who_shows_a_ticket_is_answered_from_it_however_crowded_it_is(scene: Scene) -> None:
    await scene.ask("known")
    ticket = await scene.provisioner._tickets.issue(DEFAULT_TENANT, "dublin", "known", 1)
    scene.close_for_new_ones(away=True)
    sink = Sink()
    last = FallbackResponder(scene.fallback, DEFAULT_TENANT, "known", ticket, True, sink)
    scene.begin("known", last)
    assert isinstance(sink.answer.result(), bytes)
    assert scene.fallback.given == 1


@pytest.mark.parametrize("algorithm", [HS256, EDDSA])
async def test_a_stale_ticket_does_not_get_a_client_in_where_it_has_left(
    scene: Scene, algorithm: str
) -> None:
    tenant = replace(DEFAULT_TENANT, ticket_algorithm=algorithm)
    now = time.time()
    was_known = now - 100
    shown = RING_ISSUER.issue("dublin", tenant.id, "known", 1, was_known, 600.0)
    answer = await scene.fallback.assignment(tenant, "known", shown)
    assert answer is not None
    fallback = answer[1]
    door = TicketVerifier("dublin", RING_ISSUER.keys_for("dublin"))
    admitted = door.verify(fallback, now)
    assert admitted.admitted
    assert admitted.expires_at >= now + tenant.ticket_ttl_s - 1, "as fresh as any in this"
    door.departures.note(
        tenant.id,
        "known",
        Departed(
            epoch=2, unit_id="virginia", endpoint="v:1", decided_at=now - 50, over_at=now - 50
        ),
    )
    refused = door.verify(fallback, now)
    assert refused.reason is Reason.STALE_EPOCH
    assert refused.departed is not None
    assert refused.departed.unit_id == "virginia"


async def test_when_it_opens_again_new_ones_get_in(scene: Scene) -> None:
    scene.close_for_new_ones()
    assert isinstance(await scene.ask("new"), Overloaded)
    scene.provisioner.admission.look(
        waiting=0, served=0, seconds=0.1, standing=True, connected=True
    )
    assert isinstance(await scene.ask("new"), bytes)
