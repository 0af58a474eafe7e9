"""A crowded provisioner: known clients are served, new ones told when to come back, each at
a time of its own.

The real use case and ledger over a real embedded store; only admission is set by hand.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.errors import ServiceError
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.identity.admission import AdmissionReason, TicketVerifier
from control_plane.identity.departures import Departed
from control_plane.identity.jws import EDDSA, HS256
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import StoreUnavailable
from provisioner.provisioning.admission_control import Overloaded
from provisioner.provisioning.ticket_fallback import FallbackResponder
from tests.support.fakes.faulty_store import FaultyStore
from tests.support.provisioning_harness import AwaitedSink, ProvisioningHarness, provisioning
from tests.support.servers import units


def close_for_new_ones(harness: ProvisioningHarness, *, away: bool = False) -> None:
    harness.admission.update(waiting=0, served=0, seconds=0.1, may_write=False, connected=not away)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ProvisioningHarness]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=100, virginia=100)) as harness:
        yield harness
    await store.close()


async def test_known_clients_are_served_and_new_ones_are_told_when_to_come_back(
    harness: ProvisioningHarness,
) -> None:
    known = [f"known-{n}" for n in range(20)]
    for name in known:
        assert isinstance(await harness.ask(name), bytes)
    close_for_new_ones(harness)
    names = [name for pair in zip(known, (f"new-{n}" for n in range(20)), strict=True)
             for name in pair]  # fmt: skip
    answers = await asyncio.gather(*(harness.ask(name) for name in names))
    for name, answer in zip(names, answers, strict=True):
        assert isinstance(answer, bytes if name in known else Overloaded), name
    delays = {error.retry_after_s for error in answers if isinstance(error, ServiceError)}
    assert len(delays) == 20
    assert harness.provisioner.under_way == 0
    assert harness.admission.turned_away == 20


async def test_while_the_store_is_away_new_ones_are_told_so_without_asking_it(
    harness: ProvisioningHarness,
) -> None:
    close_for_new_ones(harness, away=True)
    sink = AwaitedSink()
    harness.begin("new", sink)
    assert sink.answer.done()
    assert isinstance(sink.answer.result(), StoreUnavailable)


async def test_who_shows_a_ticket_is_answered_from_it_however_crowded_it_is(
    harness: ProvisioningHarness,
) -> None:
    await harness.ask("known")
    ticket = await harness.tickets.issue(DEFAULT_TENANT, "dublin", "known", 1)
    close_for_new_ones(harness, away=True)
    sink = AwaitedSink()
    last = FallbackResponder(harness.fallback, DEFAULT_TENANT, "known", ticket, True, sink)
    harness.begin("known", last)
    assert isinstance(sink.answer.result(), bytes)
    assert harness.fallback.answered == 1


@pytest.mark.parametrize("algorithm", [HS256, EDDSA])
async def test_a_stale_ticket_does_not_get_a_client_in_where_it_has_left(
    harness: ProvisioningHarness, algorithm: str
) -> None:
    tenant = replace(DEFAULT_TENANT, ticket_algorithm=algorithm)
    now = time.time()
    was_known = now - 100
    shown = harness.issuer.issue("dublin", tenant.id, "known", 1, was_known, 600.0)
    answer = await harness.fallback.assignment(tenant, "known", shown)
    assert answer is not None
    fallback = answer.ticket
    door = TicketVerifier("dublin", harness.issuer.keys_for("dublin"))
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
    assert refused.reason is AdmissionReason.STALE_EPOCH
    assert refused.departed is not None
    assert refused.departed.unit_id == "virginia"


async def test_who_fails_because_of_the_store_is_counted_once_and_not_as_turned_away(
    tmp_path: Path,
) -> None:
    embedded = await EmbeddedStore.open(tmp_path / "faulty.db")
    store = FaultyStore(embedded)
    async with provisioning(store, units(dublin=100)) as harness:
        assert isinstance(await harness.ask("first"), bytes)
        store.faults.extend(["refused"] * 3)
        failed = [await harness.ask(f"new-{n}") for n in range(3)]
        assert all(isinstance(error, StoreUnavailable) for error in failed)
        assert all(error.retry_after_s for error in failed if isinstance(error, ServiceError))
        assert harness.provisioner.failures == {"UNAVAILABLE": 3}
        assert harness.admission.turned_away == 0
    await embedded.close()


@pytest.mark.parametrize("begun", [False, True])
async def test_who_is_answered_from_its_ticket_is_no_new_client_that_failed(
    tmp_path: Path, begun: bool
) -> None:
    """Where known clients alone ask while the store is away, new ones have not waited."""
    embedded = await EmbeddedStore.open(tmp_path / "faulty.db")
    store = FaultyStore(embedded)
    async with provisioning(store, units(dublin=100)) as harness:
        await harness.ask("known")
        ticket = await harness.tickets.issue(DEFAULT_TENANT, "dublin", "known", 1)
        if begun:
            store.faults.append("refused")
        else:
            close_for_new_ones(harness, away=True)
        sink = AwaitedSink()
        last = FallbackResponder(harness.fallback, DEFAULT_TENANT, "known", ticket, True, sink)
        harness.begin("known", last)
        assert isinstance(await sink.answer, bytes)
        assert (harness.provisioner.failures, harness.admission.turned_away) == ({}, 0)
        assert (harness.fallback.answered, harness.fallback.unanswered) == (1, 0)
    await embedded.close()


async def test_who_shows_a_ticket_of_no_use_counts_as_a_known_client_that_was_let_down(
    harness: ProvisioningHarness,
) -> None:
    close_for_new_ones(harness, away=True)
    sink = AwaitedSink()
    harness.begin(
        "known", FallbackResponder(harness.fallback, DEFAULT_TENANT, "known", "a.b.c", True, sink)
    )
    assert isinstance(sink.answer.result(), StoreUnavailable)
    assert (harness.fallback.unanswered, harness.admission.turned_away) == (1, 0)


async def test_when_it_opens_again_new_ones_get_in(harness: ProvisioningHarness) -> None:
    close_for_new_ones(harness)
    assert isinstance(await harness.ask("new"), Overloaded)
    harness.admission.update(waiting=0, served=0, seconds=0.1, may_write=True, connected=True)
    assert isinstance(await harness.ask("new"), bytes)
