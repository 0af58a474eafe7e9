"""What applying a unit writes, and what it leaves: an operator's word, and an agent's endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane import keys
from control_plane.errors import NotFound, Refused
from control_plane.fleet.liveness import Liveness
from control_plane.fleet.records import encode_unit
from control_plane.fleet.registry import ApplyRequest, UnitRegistry, applied_over
from control_plane.fleet.unit import AgentRecord, UnitSpec, serving_endpoint
from control_plane.fleet.unit_view import UnitSnapshot
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import KeyValue, Put, Txn
from tests.support.unit_records import unit_spec, unit_status

AGENT = ApplyRequest(registering=True)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


@pytest.fixture
def registry(store: EmbeddedStore) -> UnitRegistry:
    return UnitRegistry(store, clock=lambda: 0.0, wall=lambda: 1_795_000_000.0)


async def test_a_reported_endpoint_serves_and_an_operator_does_not_wipe_it(
    store: EmbeddedStore, registry: UnitRegistry
) -> None:
    assert (await registry.apply(unit_spec())).endpoint == "u.example.net:443"
    agent = Liveness(store, "u", 10)
    await agent.attach(replace(unit_status(), endpoint="10.0.0.7:4711"))
    view = await registry.apply(unit_spec(7, labels={"a": "b"}))
    assert (view.endpoint, view.spec.endpoint) == ("10.0.0.7:4711", "u.example.net:443")
    await agent.leave()
    assert (await registry.get("u")).endpoint == "10.0.0.7:4711"
    assert [one.endpoint for one in (await registry.list())[0]] == ["10.0.0.7:4711"]


async def test_an_agent_that_reports_another_endpoint_or_none_is_believed(
    store: EmbeddedStore, registry: UnitRegistry
) -> None:
    await registry.apply(unit_spec())
    agent = Liveness(store, "u", 10)
    await agent.attach(replace(unit_status("1"), endpoint="10.0.0.7:4711"))
    await agent.heartbeat(replace(unit_status("1"), endpoint="10.0.0.8:4711"))
    assert (await registry.get("u")).endpoint == "10.0.0.8:4711"
    await Liveness(store, "u", 10).attach(unit_status("2"))
    assert (await registry.get("u")).endpoint == "u.example.net:443"


async def test_the_record_of_an_agent_from_before_it_had_endpoints_is_read(
    store: EmbeddedStore, registry: UnitRegistry
) -> None:
    await registry.apply(unit_spec())
    await store.commit(Txn(then=[Put(keys.agent("u"), b"0001-abcd")]))
    assert (await registry.get("u")).endpoint == "u.example.net:443"


async def test_what_is_not_given_stays_and_what_is_given_empty_is_reset(
    registry: UnitRegistry,
) -> None:
    await registry.apply(unit_spec(100, labels={"ring": "stable"}, weight=3.0))
    partial = ApplyRequest(fields=frozenset({"capacity"}))
    stands = (await registry.apply(unit_spec(200), partial)).spec
    assert (stands.capacity, stands.labels, stands.weight) == (200, {"ring": "stable"}, 3.0)
    reset = ApplyRequest(fields=frozenset({"labels"}))
    stands = (await registry.apply(unit_spec(1), reset)).spec
    assert (stands.capacity, stands.labels, stands.weight) == (200, {}, 3.0)


async def test_a_dry_run_writes_nothing(store: EmbeddedStore, registry: UnitRegistry) -> None:
    dry = ApplyRequest(dry_run=True)
    assert (await registry.apply(unit_spec(), dry)).spec == unit_spec()
    with pytest.raises(NotFound):
        await registry.get("u")
    await registry.apply(unit_spec())
    before = await store.range(keys.ROOT.encode())
    assert (await registry.apply(unit_spec(7), dry)).capacity.capacity == 7
    assert (await store.range(keys.ROOT.encode())).items == before.items


async def test_applying_the_same_again_changes_nothing(
    store: EmbeddedStore, registry: UnitRegistry
) -> None:
    """So an agent's restart does not spoil the revision that an operator has read."""
    first = await registry.apply(unit_spec(), AGENT)
    before = await store.range(keys.ROOT.encode())
    assert (await registry.apply(unit_spec(), AGENT)).revision == first.revision
    assert (await registry.apply(unit_spec())).revision == first.revision
    assert (await store.range(keys.ROOT.encode())).items == before.items


async def test_an_agents_restart_does_not_undo_what_an_operator_did(
    registry: UnitRegistry,
) -> None:
    await registry.apply(unit_spec(100), AGENT)
    await registry.apply(unit_spec(200, labels={"ring": "canary"}))
    again = await registry.apply(unit_spec(100), AGENT)
    assert (again.spec.capacity, again.spec.labels) == (200, {"ring": "canary"})


async def test_an_agent_with_another_file_writes_what_differs(registry: UnitRegistry) -> None:
    await registry.apply(unit_spec(100), AGENT)
    await registry.apply(unit_spec(200, labels={"ring": "canary"}))
    edited = await registry.apply(unit_spec(300), AGENT)
    assert (edited.spec.capacity, edited.spec.labels) == (300, {"ring": "canary"})


async def test_an_agent_does_not_bring_a_removed_unit_back_and_an_operator_does(
    store: EmbeddedStore, registry: UnitRegistry
) -> None:
    await registry.apply(unit_spec(), AGENT)
    agent = Liveness(store, "u", 10)
    await agent.attach(unit_status())
    await registry.remove("u")
    with pytest.raises(Refused, match="removed by an operator on 2026-11-1"):
        await registry.apply(unit_spec(), AGENT)
    with pytest.raises(NotFound, match="removed by an operator"):
        await agent.heartbeat(unit_status())  # though its status is the same as before
    with pytest.raises(NotFound, match="removed by an operator"):
        await Liveness(store, "u", 10).attach(unit_status("2"))
    await registry.apply(unit_spec(5))
    await agent.heartbeat(unit_status())
    assert (await registry.get("u")).status is not None
    assert (await registry.apply(unit_spec(), AGENT)).spec.capacity == 5


specs = st.builds(
    unit_spec,
    st.integers(1, 3),
    weight=st.sampled_from([1.0, 2.0]),
    labels=st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), max_size=2),
    tenants=st.lists(st.sampled_from(["t", "u"]), max_size=2).map(tuple),
)
NAMES = [field.name for field in fields(UnitSpec) if field.name != "id"]


def stored(spec: UnitSpec) -> KeyValue:
    return KeyValue(b"", encode_unit(spec), create_revision=1, mod_revision=1, version=1)


@given(stands=specs, last=specs | st.none(), new=specs, given_=st.sets(st.sampled_from(NAMES)))
def test_each_field_is_the_word_of_whoever_spoke_last(
    stands: UnitSpec, last: UnitSpec | None, new: UnitSpec, given_: set[str]
) -> None:
    seen = UnitSnapshot(
        unit=stored(stands), live=None, capacity=None, usages=(),
        applied=stored(last) if last is not None else None,
    )  # fmt: skip
    by_operator = applied_over(seen, new, ApplyRequest(fields=frozenset(given_)))
    by_agent = applied_over(seen, new, AGENT)
    for name in NAMES:
        operators = getattr(new if name in given_ or not given_ else stands, name)
        assert getattr(by_operator, name) == operators
        says_new = last is not None and getattr(last, name) != getattr(new, name)
        assert getattr(by_agent, name) == getattr(new if says_new else stands, name)


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        pytest.param(None, "u.example.net:443", id="no-agent-ever"),
        pytest.param(AgentRecord(incarnation="1"), "u.example.net:443", id="it-reported-none"),
        pytest.param(AgentRecord(incarnation="1", endpoint="h:1"), "h:1", id="it-reported-one"),
    ],
)
def test_which_endpoint_serves(agent: AgentRecord | None, expected: str) -> None:
    assert serving_endpoint(unit_spec(), agent) == expected
