"""What a pending provision tells the use case, and what it writes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane import keys
from control_plane.errors import Exhausted, ServiceError
from control_plane.fleet.unit import DEFAULT_TENANT, TenantSpec
from control_plane.store.port import KeyValue
from provisioner.geo.cells import location_of
from provisioner.geo.location import NOWHERE
from provisioner.ledger.account import Account
from provisioner.ledger.assignment import decode_assignment
from provisioner.ledger.provenance import Provenance, encode_provenance
from provisioner.ledger.recent_assignments import RecentAssignments
from provisioner.placement.choice import Choice
from provisioner.placement.filters import PlacementPolicy
from provisioner.provisioning.pending import LookupBeforeRefusal
from provisioner.provisioning.placer import Placer
from provisioner.provisioning.single import SingleProvision

FOUND = KeyValue(key=b"k", value=b"v", create_revision=1, mod_revision=1, version=1)


class FixedPlacer(Placer):
    """Chooses the one unit there is, or says why not."""

    def __init__(self) -> None:
        self.accounts = [Account(unit="dublin")]
        self.choice: Choice | ServiceError = Choice(0, "nearest")
        self.policies = PlacementPolicy(revision=3)

    def choose(self, tenant_id, client_key, location, waited_s):
        return self.choice

    def provenance(self, choice, location):
        return encode_provenance(Provenance(choice.rule, location.source.value, -1.0, 17))


class RecordingFlow:
    """The use case: keeps what it is told."""

    def __init__(self) -> None:
        self.placer = FixedPlacer()
        self.recent = RecentAssignments()
        self.told: list[tuple[object, ...]] = []

    def __getattr__(self, name: str):
        return lambda pending, *more: self.told.append((name, *more))


class Sink:
    def __init__(self) -> None:
        self.heard: list[object] = []

    def reply(self, response: bytes) -> None:
        self.heard.append(response)

    def fail(self, error: ServiceError) -> None:
        self.heard.append(error)


@pytest.fixture
def flow() -> RecordingFlow:
    return RecordingFlow()


def pending(flow, tenant: TenantSpec = DEFAULT_TENANT, sink: Sink | None = None) -> SingleProvision:
    key = keys.assignment(tenant.id, "alice")
    return SingleProvision(
        flow, key, tenant, "alice", NOWHERE, 1_700, 9.0, True, sink if sink else Sink()
    )


def test_the_record_is_of_the_unit_chosen(flow: RecordingFlow) -> None:
    one = pending(flow)
    assert one.choose() is flow.placer.accounts[0]
    record = decode_assignment(one.value)
    assert (record.unit, record.epoch, record.at_ms) == ("dublin", 1, 1_700)
    assert record.why == Provenance("nearest", "nowhere", -1.0, 17)
    assert record.policy == 3
    assert one.plain
    assert not one.writes


def test_where_places_are_held_the_hold_is_written_with_it(flow: RecordingFlow) -> None:
    one = pending(flow, replace(DEFAULT_TENANT, hold_s=30.0))
    one.choose()
    assert not one.plain
    (hold,) = one.writes
    assert hold.key == keys.hold(DEFAULT_TENANT.id, "alice")


def test_where_there_is_no_room_it_writes_nothing(flow: RecordingFlow) -> None:
    flow.placer.choice = Exhausted("full")
    one = pending(flow)
    assert one.choose() is flow.placer.choice
    assert not one.writes


def test_each_outcome_is_passed_on_once(flow: RecordingFlow) -> None:
    one, error = pending(flow), Exhausted("full")
    one.choose()
    one.assigned(7)
    one.existing(FOUND)
    one.found(FOUND)
    one.found(None)
    one.failed(error)
    assert flow.told == [
        ("assigned",),
        ("existing", FOUND),
        ("existing", FOUND),
        ("absent",),
        ("failed", error),
    ]


def test_what_a_single_call_assigns_is_remembered(flow: RecordingFlow) -> None:
    one = pending(flow)
    one.choose()
    one.assigned(7)
    assert flow.recent.take(one.key) == KeyValue(one.key, one.value, 7, 7, 1)


def test_before_a_refusal_the_store_has_the_last_word(flow: RecordingFlow) -> None:
    one, full, away = pending(flow), Exhausted("full"), Exhausted("away")
    last = LookupBeforeRefusal(one, full)
    assert (last.key, last.expires_at) == (one.key, one.expires_at)
    last.found(FOUND)
    last.found(None)
    last.failed(away)
    assert flow.told == [("existing", FOUND), ("failed", full), ("failed", away)]


def test_answers_go_to_the_call(flow: RecordingFlow) -> None:
    sink, error = Sink(), Exhausted("full")
    one = pending(flow, sink=sink)
    one.reply(b"answer")
    one.fail(error)
    assert sink.heard == [b"answer", error]


def test_the_subdivision_is_kept_with_the_place(flow: RecordingFlow) -> None:
    one = pending(flow)
    one.location = location_of("US:21.3,-157.9~20", subdivision="US-HI")
    one.choose()
    assert decode_assignment(one.value).location.subdivision == "US-HI"


def test_it_is_current_until_its_policy_is_replaced(flow: RecordingFlow) -> None:
    one = pending(flow)
    one.choose()
    assert one.is_current()
    flow.placer.policies = PlacementPolicy(revision=4)
    assert not one.is_current()
    one.choose()
    assert one.is_current()
