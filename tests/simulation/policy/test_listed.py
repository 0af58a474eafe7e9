"""Clients that there are, placed anew: as servers would place them, from where they live."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from control_plane import keys
from control_plane.errors import InvalidInput, ServiceError
from control_plane.fleet.file import SAMPLE, read_fleet
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import range_all
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.geo.location import Location, LocationSource
from provisioner.ledger.assignment import decode_assignment, split_key
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement_hooks.hooked_policies import HookedPolicies
from provisioner.policy.compiled import CompiledPolicy
from simulation.policy.client_policy import OnePolicy, TenantPolicy
from simulation.policy.figures import Document, document_of
from simulation.policy.listed import ListedQuestion, ListedSimulation
from simulation.policy.population_lines import population_entries
from tests.simulation.policy.fleets import COUNTRIES, random_units
from tests.simulation.policy.served_policy import RULES, Source
from tests.support.policies import compiled
from tests.support.provisioning_harness import AwaitedSink, provisioning
from tests.support.supervision import FailFast

CLIENTS = 90
BEFORE = "rules: [{name: all, rank: {load: false}}]"
IRELAND = Location(source=LocationSource.DATABASE, country="IE", continent="EU", cell="IE:")
ANYWHERE = OnePolicy(PlacementPolicy())


def question(**asked: object) -> ListedQuestion:
    return ListedQuestion(
        **{
            "tenant": DEFAULT_TENANT.id,
            "units": read_fleet(SAMPLE),
            "before": ANYWHERE,
            "after": ANYWHERE,
            "population": "some",
            **asked,
        }  # type: ignore[arg-type]
    )


def told(simulation: ListedSimulation, **taken: int) -> Document:
    return document_of(*simulation.run(lambda more: None, taken))


def clients_of(side: Document) -> dict[str, int]:
    return {unit["id"]: unit["clients"] for unit in side["units"] if unit["clients"]}


async def served(folder: Path, policy: CompiledPolicy, clients: list[tuple[str, tuple]]) -> dict:
    """The unit of each client of a server that is asked for one after another; and its record."""
    units = random_units(random.Random(11), 7, 13)
    store = await EmbeddedStore.open(folder / f"{policy.revision}.db")
    hooked = HookedPolicies(Source(policy), {}, supervisor=FailFast(), clock=time.monotonic)
    async with provisioning(store, units, hooked=hooked) as harness:
        for client, at in clients:
            sink = AwaitedSink()
            harness.provisioner.provision(DEFAULT_TENANT, client, None, at, sink)
            answer = await sink.answer
            assert isinstance(answer, ServiceError) or pb.ProvisionResponse.FromString(answer)
        page = await range_all(store, keys.assignment(DEFAULT_TENANT.id, ""))
    await store.close()
    return {split_key(pair.key)[1]: decode_assignment(pair.value) for pair in page.items}


async def test_after_is_what_a_server_does_that_is_asked_for_them_anew_in_that_order(
    tmp_path: Path,
) -> None:
    rng = random.Random(5)
    clients = []
    for number in range(CLIENTS):
        _, latitude, longitude = rng.choice(COUNTRIES)
        # As fine as records keep positions.
        at = (round(latitude + rng.uniform(-4, 4), 1), round(longitude + rng.uniform(-4, 4), 1))
        clients.append((f"{rng.choice(['gold', 'plain'])}-{number:03d}", at))
    clients.sort()
    before = compiled(BEFORE, tenant=DEFAULT_TENANT.id, revision=1)
    after = compiled(RULES, tenant=DEFAULT_TENANT.id, revision=2)

    shuffled = rng.sample(clients, len(clients))
    lived = await served(tmp_path, before, shuffled)
    known = [one for one in clients if one[0] in lived]  # whom a unit had room for
    assert len(known) > CLIENTS // 2
    anew = await served(tmp_path, after, known)

    simulation = ListedSimulation(
        question(
            units=random_units(random.Random(11), 7, 13),
            before=TenantPolicy(before),
            after=TenantPolicy(after),
        )
    )
    for client, _ in known:
        simulation.clients.add(client, lived[client].location, lived[client].unit)
    found = told(simulation)
    moves = Counter(
        (lived[client].unit, anew[client].unit if client in anew else None) for client, _ in known
    )
    assert clients_of(found["before"]) == Counter(lived[client].unit for client, _ in known)
    assert clients_of(found["after"]) == Counter(one.unit for one in anew.values())
    assert {(one["from"], one["to"]): one["clients"] for one in found["moved"]["largest"]} == {
        pair: count for pair, count in moves.items() if pair[0] != pair[1]
    }
    assert found["moved"]["clients"] > 0
    assert found["after"]["unplaced"] == len(known) - len(anew)


def test_clients_of_other_tenants_have_their_room() -> None:
    simulation = ListedSimulation(question())
    nearest = "eu-west"
    capacity = next(unit.capacity for unit in read_fleet(SAMPLE) if unit.id == nearest)
    for number in range(3):
        simulation.clients.add(f"c-{number}", IRELAND, nearest)
    free = told(simulation)
    assert free["moved"]["clients"] == 0

    simulation = ListedSimulation(question())
    for number in range(3):
        simulation.clients.add(f"c-{number}", IRELAND, nearest)
    found = told(simulation, **{nearest: capacity + 2})  # three of them are ours: one has room
    assert clients_of(found["after"])[nearest] == 1
    unit = next(one for one in found["after"]["units"] if one["id"] == nearest)
    assert unit["load"] == pytest.approx(1.0)
    assert unit["over_time"][-1] == 1


def test_units_that_are_closed_take_nobody_anew_and_have_who_lives_there() -> None:
    simulation = ListedSimulation(question(closed=["eu-west"], without=["eu-central"]))
    simulation.clients.add("anna", IRELAND, "eu-west")
    simulation.clients.add("ben", IRELAND, "eu-central")
    found = told(simulation)
    assert clients_of(found["before"]) == {"eu-west": 1, "eu-central": 1}
    assert not {"eu-west", "eu-central"} & set(clients_of(found["after"]))
    assert found["moved"]["clients"] == 2


def test_where_no_client_says_where_it_lives_the_policy_before_places_it() -> None:
    only = TenantPolicy(
        compiled("rules: [{name: one, require: {units: [us-east]}}]", tenant=DEFAULT_TENANT.id)
    )
    simulation = ListedSimulation(question(before=only))
    for number in range(5):
        simulation.clients.add(f"c-{number}", IRELAND)
    assert clients_of(told(simulation)["before"]) == {"us-east": 5}


@pytest.mark.parametrize(
    ("unit", "most", "said"),
    [
        pytest.param("dublin-9", 2, "unit dublin-9, which the fleet does not have", id="a-unit"),
        pytest.param("eu-west", 0, "more than 0 clients", id="too-many"),
    ],
)
def test_what_cannot_be_placed_is_refused(unit: str, most: int, said: str) -> None:
    simulation = ListedSimulation(question(), most=most)
    with pytest.raises(InvalidInput, match=said):
        simulation.clients.add("anna", IRELAND, unit)


def test_a_population_without_clients_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no clients"):
        ListedSimulation(question()).run(lambda more: None)


def test_attributes_and_pins_of_clients_count() -> None:
    gold = compiled(
        """
        groups: {gold: {attributes: {plan: gold}}}
        rules: [{name: gold, when: '"gold" in client.groups', require: {units: [us-east]}}]
        """,
        tenant=DEFAULT_TENANT.id,
    )
    simulation = ListedSimulation(question(after=TenantPolicy(gold)))
    add = simulation.clients.add
    add("anna", IRELAND, "eu-west", attributes={"plan": "gold"})
    add("ben", IRELAND, "eu-west", attributes={"plan": "silver"})
    add("carla", IRELAND, "eu-west")
    add("dev", IRELAND, "eu-west", pin="eu-north")
    add("mallory", IRELAND, "eu-west", attributes={"plan": "gold"}, pin="eu-north")
    found = told(simulation)
    assert clients_of(found["after"]) == {"us-east": 1, "eu-west": 2, "eu-north": 1}
    assert found["after"]["unplaced"] == 1  # the rule and the pin leave no unit


LINES = [
    b'{"client_id": "anna", "ip": "81.2.69.142", "unit": "eu-west"}',
    b'{"client_id": "ben", "at": {"country": "IE", "latitude": 51.9, "longitude": -8.5}}',
    b'{"client_id": "carla", "attributes": {"plan": "gold"}}',
]


def test_a_file_has_a_client_a_line() -> None:
    anna, ben, carla = population_entries(enumerate(LINES, 1), lambda address: IRELAND)
    assert (anna.client_id, anna.location, anna.unit) == ("anna", IRELAND, "eu-west")
    assert (ben.location.country, ben.location.latitude, ben.unit) == ("IE", 51.9, "")
    assert (carla.attributes, ben.attributes) == ({"plan": "gold"}, {})
    assert carla.location.source is LocationSource.NOWHERE


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "line 7: is not JSON"),
        (b"[]", "line 7: has to be an object"),
        (b'{"client": "anna"}', 'there is no field "client"'),
        (b'{"client_id": ""}', "client_id: say which client it is"),
        (b'{"client_id": "a/b"}', "without a slash"),
        (b'{"client_id": "a", "ip": "x", "at": {}}', "give one of them"),
        (b'{"client_id": "a", "attributes": {"plan": 1}}', "attributes.plan: has to be a text"),
        (b'{"client_id": "a", "attributes": {"1": "x"}}', "is no name of an attribute"),
        (b'{"client_id": "a", "at": {"country": "XX"}}', "there is no country XX"),
        (b'{"client_id": "' + b"a" * 70_000 + b'"}', "longer than 65,536 bytes"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_client_is_named(line: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        list(population_entries([(7, line)], lambda address: IRELAND))
