"""Accounts handed from one unit to another, over real sockets: the same to the byte, whole or not
at all, and nothing changed at the old unit on the way."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from control_plane.handoff.orders import OrderIssuer
from control_plane.serving.dialing import dialer
from deployment_units.services.accounts.accounts import AccountLeaving, StaleEpoch
from deployment_units.services.state.port import read_state
from homeport.api.communication.v1 import profile_pb2 as pb
from provisioner.moves.handoff import Handoff
from provisioner.moves.handoff_result import (
    HandoffDone,
    HandoffFailed,
    MovingClient,
    UnitAddress,
)
from tests.support.account_units import TENANT, AccountUnit, account_unit, an_issuer
from tests.support.fakes.unit import LoopbackUnit

ANNA = MovingClient(tenant=TENANT, client_id="anna", epoch=2)


class Pair:
    """Two units with accounts, one beside the other, and somebody who hands over between them."""

    def __init__(self, old: AccountUnit, new: AccountUnit) -> None:
        self.old, self.new = old, new
        self.there = LoopbackUnit("old", old.issuer, old.state)
        self.here = LoopbackUnit("new", new.issuer, new.state)
        self.source = UnitAddress(unit_id="old", endpoint="")
        self.target = UnitAddress(unit_id="new", endpoint="")
        self.handoff = Handoff(OrderIssuer(old.issuer), connect=dialer(None), wall=time.time)

    async def move(self) -> HandoffDone | HandoffFailed:
        return await self.handoff.hand_over(
            ANNA, source=self.source, target=self.target, timeout_s=30.0
        )


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    issuer, now = an_issuer(time.time()), time.time()

    @asynccontextmanager
    async def unit(unit_id: str) -> AsyncIterator[AccountUnit]:
        async with account_unit(tmp_path / unit_id, unit_id, issuer, now) as one:
            yield one

    async with unit("old") as old, unit("new") as new:
        both = Pair(old, new)
        async with both.there.serving() as there, both.here.serving() as here:
            both.source = UnitAddress(unit_id="old", endpoint=there)
            both.target = UnitAddress(unit_id="new", endpoint=here)
            yield both
            await both.handoff.close()


async def rename(unit: AccountUnit, name: str, epoch: int = 1) -> None:
    request = pb.UpdateProfileRequest(name=name)
    await unit.profiles.UpdateProfile(request, unit.by_ticket("anna", epoch))


async def name_at(unit: AccountUnit, epoch: int) -> str:
    request = pb.GetProfileRequest()
    return (await unit.profiles.GetProfile(request, unit.by_ticket("anna", epoch))).name


async def test_an_account_arrives_the_same_to_the_byte(pair: Pair) -> None:
    await rename(pair.old, "Anna")
    contacts = pb.ChangeContactsRequest(add=[f"c{n}" for n in range(900)])
    await pair.old.profiles.ChangeContacts(contacts, pair.old.by_ticket("anna"))
    done = await pair.move()
    assert isinstance(done, HandoffDone)
    sent, kept = [await read_state(unit.state, TENANT, "anna") for unit in (pair.old, pair.new)]
    assert sent == kept
    assert hashlib.sha256(kept).digest() == done.sha256
    assert await pair.handoff.forget(ANNA, unit=pair.source) is None
    assert await read_state(pair.old.state, TENANT, "anna") == b""
    assert await name_at(pair.new, 2) == "Anna"


async def test_nothing_is_changed_on_the_way_and_nobody_begins_anew_behind_it(pair: Pair) -> None:
    await rename(pair.old, "Anna")
    ticket = pair.old.by_ticket("anna")
    pair.there.hurt = lambda n, chunk: None  # the move breaks in its middle
    assert isinstance(await pair.move(), HandoffFailed)
    with pytest.raises(AccountLeaving):
        await rename(pair.old, "Eve")
    assert await name_at(pair.old, 1) == "Anna"
    pair.old.now += 91
    await pair.old.staying.look()
    await rename(pair.old, "Annabel")  # it stayed, and goes on
    pair.there.hurt = lambda n, chunk: chunk
    assert isinstance(await pair.move(), HandoffDone)
    assert await pair.handoff.forget(ANNA, unit=pair.source) is None
    # The servicer beside it has a verifier of its own: the state itself knows nothing any more, and
    # whoever serves it knows that the ticket is over.
    assert pair.there.verifier.departures.find(TENANT, "anna") is not None
    pair.old.verifier.departures = pair.there.verifier.departures
    with pytest.raises(StaleEpoch):
        await pair.old.profiles.UpdateProfile(pb.UpdateProfileRequest(name="Eve"), ticket)
    assert await name_at(pair.new, 2) == "Annabel"
