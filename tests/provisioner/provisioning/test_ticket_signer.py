"""Tickets are signed on the spot or on threads, once each, and a failure reaches who waits."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from control_plane.errors import ServiceError, Unavailable
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.identity.admission import TicketVerifier
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import EDDSA, HS256, TicketIssuer
from provisioner.provisioning.ticket_signer import TicketSigner

EDDSA_TENANT = replace(DEFAULT_TENANT, ticket_algorithm=EDDSA)
ISSUER = TicketIssuer(KeyRing(epochs=(new_epoch(1, now=0.0, random=os.urandom),)))


class HeldExecutor(Executor):
    """Keeps work until it is told to do it, or to fail."""

    def __init__(self) -> None:
        self.submitted: list[tuple[Future, object, tuple]] = []

    def submit(self, work, /, *given, **more):
        future: Future = Future()
        self.submitted.append((future, work, given))
        return future

    def do(self) -> None:
        future, work, given = self.submitted.pop(0)
        future.set_result(work(*given))

    def break_down(self) -> None:
        self.submitted.pop(0)[0].set_exception(RuntimeError("no threads"))


@pytest.fixture
def signers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as signers:
        yield signers


def signer(signers: Executor) -> TicketSigner:
    return TicketSigner(ISSUER, wall=time.time, signers=signers)


@pytest.mark.parametrize("algorithm", [HS256, EDDSA])
async def test_a_ticket_admits_its_client_at_its_unit(signers, algorithm: str) -> None:
    tenant = replace(DEFAULT_TENANT, ticket_algorithm=algorithm)
    ticket = await signer(signers).issue(tenant, "dublin", "alice", 3)
    admitted = TicketVerifier("dublin", ISSUER.keys_for("dublin")).verify(ticket, time.time())
    assert admitted.admitted
    assert (admitted.client_id, admitted.epoch) == ("alice", 3)


def test_a_fast_signature_is_made_on_the_spot_and_a_slow_one_is_not(signers) -> None:
    assert signer(signers).issue_now(DEFAULT_TENANT, "dublin", "alice", 1)
    assert signer(signers).issue_now(EDDSA_TENANT, "dublin", "alice", 1) is None


async def test_those_who_come_meanwhile_are_signed_together() -> None:
    held = HeldExecutor()
    tickets = signer(held)
    loop = asyncio.get_running_loop()
    signed: list[asyncio.Future[str | ServiceError]] = [loop.create_future() for _ in range(3)]
    for name, one in zip("abc", signed, strict=True):
        tickets.issue_later(EDDSA_TENANT, "dublin", name, 1, one.set_result)
    assert len(held.submitted) == 1
    held.do()
    first = await signed[0]
    assert len(held.submitted) == 1, "the other two in one errand"
    held.do()
    others = await asyncio.gather(*signed[1:])
    assert not held.submitted
    assert all(isinstance(one, str) for one in (first, *others))


async def test_where_signing_fails_everybody_is_told_and_the_next_are_tried() -> None:
    held = HeldExecutor()
    tickets = signer(held)
    awaited = asyncio.create_task(tickets.issue(EDDSA_TENANT, "dublin", "alice", 1))
    await asyncio.sleep(0)
    held.break_down()
    with pytest.raises(Unavailable):
        await awaited
    again = asyncio.create_task(tickets.issue(EDDSA_TENANT, "dublin", "alice", 1))
    await asyncio.sleep(0)
    held.do()
    assert (await again).count(".") == 2


async def test_who_cannot_be_told_takes_no_other_along() -> None:
    held = HeldExecutor()
    tickets = signer(held)
    told: list[str | ServiceError] = []

    def fails(ticket: str | ServiceError) -> None:
        raise KeyError("gone")

    for deliver in (fails, told.append):  # one errand each: the second gathers meanwhile
        tickets.issue_later(EDDSA_TENANT, "dublin", "alice", 1, deliver)
    tickets.issue_later(EDDSA_TENANT, "dublin", "bob", 1, fails)
    tickets.issue_later(EDDSA_TENANT, "dublin", "bob", 1, told.append)
    while held.submitted:
        held.do()
        for _ in range(3):
            await asyncio.sleep(0)
    assert [type(one) for one in told] == [str, str]


async def test_a_tenant_with_thousands_of_tickets_to_sign_has_nobody_wait_for_all_of_them() -> None:
    held = HeldExecutor()
    tickets = signer(held)
    flood = replace(EDDSA_TENANT, id="flood")
    signed: list[str | ServiceError] = []
    for number in range(2_000):
        tickets.issue_later(flood, "dublin", f"c{number}", 1, lambda one: None)
    tickets.issue_later(EDDSA_TENANT, "dublin", "alice", 1, signed.append)
    held.do()  # the first of all, which nobody else had come for
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    held.do()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(signed) == 1
