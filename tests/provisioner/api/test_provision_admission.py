"""ProvisionAdmission: who goes first is known without asking the store, and who is refused is told
when to come back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from control_plane.errors import ServiceError
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.serving.calls import HotCall, Metadata
from control_plane.store.embedded import EmbeddedStore
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.provision_admission import KNOWN, NEW, ProvisionAdmission
from provisioner.provisioning.admission_control import Overloaded
from tests.support.provisioning_harness import ProvisioningHarness, provisioning
from tests.support.servers import units


class Call(HotCall):
    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.heard: list[bytes | ServiceError] = []

    def reply(self, response: bytes) -> None:
        self.heard.append(response)

    def fail(self, error: ServiceError) -> None:
        self.heard.append(error)

    def metadata(self) -> Metadata:
        return ()

    def peer(self) -> str:
        return "ipv4:192.0.2.1:1000"

    def peer_identity(self) -> None:
        return None

    def time_left_s(self) -> float | None:
        return None


@dataclass
class Door:
    harness: ProvisioningHarness
    handed_on: list[tuple[HotCall, ServiceError]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rules = ProvisionAdmission(
            self.harness.answers.known,
            self.harness.fallback,
            self.harness.admission,
            refused=lambda call, error: self.handed_on.append((call, error)),
        )

    def rank(self, client_id: str, ticket: str = "") -> int:
        return self.rules.rank(call_of(client_id, ticket).payload)


def call_of(client_id: str, ticket: str = "") -> Call:
    return Call(pb.ProvisionRequest(client_id=client_id, ticket=ticket).SerializeToString())


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=100)) as harness:
        yield Door(harness)
    await store.close()


async def test_who_was_told_of_its_home_goes_first_and_a_stranger_does_not(door: Door) -> None:
    assert door.rank("anna") == NEW
    assert isinstance(await door.harness.ask("anna"), bytes)
    assert (door.rank("anna"), door.rank("ben")) == (KNOWN, NEW)


async def test_a_ticket_is_looked_at_and_shows_its_own_client_alone(door: Door) -> None:
    ticket = await door.harness.tickets.issue(DEFAULT_TENANT, "dublin", "anna", 1)
    assert door.rank("ben", ticket) == NEW
    assert door.rank("anna", ticket[:-4] + "AAAA") == NEW
    assert door.rank("anna", ticket) == KNOWN
    assert door.rank("anna") == KNOWN, "and it is looked at once"


async def test_what_is_no_request_goes_last(door: Door) -> None:
    assert door.rules.rank(b"\xff") == NEW


async def test_each_refusal_has_a_delay_of_its_own_and_counts(door: Door) -> None:
    calls = [call_of(f"client-{number}") for number in range(50)]
    for number, call in enumerate(calls):
        door.rules.refuse(call, NEW if number % 2 else KNOWN)
    told = [error for call in calls for error in call.heard]
    assert all(isinstance(error, Overloaded) for error in told)
    assert len({error.retry_after_s for error in told if isinstance(error, ServiceError)}) == 50
    assert door.harness.admission.turned_away == 50


async def test_who_shows_a_ticket_is_handed_on_to_be_answered_by_it(door: Door) -> None:
    ticket = await door.harness.tickets.issue(DEFAULT_TENANT, "dublin", "anna", 1)
    call = call_of("anna", ticket)
    door.rules.refuse(call, KNOWN)
    ((handed, error),) = door.handed_on
    assert handed is call
    assert isinstance(error, Overloaded)
    assert not call.heard
    assert door.harness.admission.turned_away == 0
