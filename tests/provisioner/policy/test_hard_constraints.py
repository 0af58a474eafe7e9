"""Nobody is ever placed where a hard constraint forbids it: over random fleets, policies and
orders of arrival, by every way that leads to a unit (new clients, drains, failover, rebalancing,
jobs of a policy, and back to a unit of before), while units fill, empty and close, clients are
pinned, the policy is replaced and latencies are measured, from a snapshot that is older than the
fleet, and whatever hooks say.

What a policy asks of a client is worked out a second time, rule by rule, without what the code
under test keeps, shares or skips.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from provisioner.geo.cells import location_of
from provisioner.ledger.assignment import decode_assignment
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.moves.targets import Targets
from provisioner.placement.choice import Choice
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.hook_answers import answered, unanswered
from provisioner.placement.hooks import HookAnswer
from provisioner.placement.policy_chooser import PolicyChooser
from provisioner.policy.faulty import FaultyPolicy
from provisioner.policy.pinning import pinned
from tests.support.fleets import at, occupied, unit
from tests.support.policies import client, compiled

PLACES = [
    (53.3, -6.3, "IE", "EU"), (50.1, 8.7, "DE", "EU"), (48.9, 2.3, "FR", "EU"),
    (38.9, -77.4, "US", "NA"), (-1.3, 36.8, "KE", "AF"),
]  # fmt: skip
CLIENTS = [f"{kind}-{n}" for kind in ("gov", "x") for n in range(6)]
BANK = {"kind": "bank", "tier": "gold"}
WHICH = [
    "{countries: [DE, US]}", "{continents: [EU]}", "{labels: {tier: gold}}",
    "{units: [u0, u1, u2]}",
]  # fmt: skip
# The condition, and when it holds, of a client's name and its location.
WHEN = {
    "true": lambda name, where: True,
    'location.country == "DE"': lambda name, where: where.country == "DE",
    'location.continent != "EU"': lambda name, where: where.continent != "EU",
    "location.latitude > 49.0": lambda name, where: (
        where.latitude is None or round(where.latitude, 1) > 49.0
    ),
    '"gov" in client.groups': lambda name, where: name.startswith("gov"),
    '"gov" in client.groups && location.country == "US"': lambda name, where: (
        name.startswith("gov") and where.country == "US"
    ),
    'client.id == "x-1"': lambda name, where: name == "x-1",
    '"kind" in client.attributes && client.attributes.kind == "bank"': lambda name, where: (
        told_of(name).get("kind") == "bank"
    ),
    # Where it cannot be decided it holds.
    'client.attributes.kind != "bank"': lambda name, where: told_of(name).get("kind") != "bank",
    '"banks" in client.groups || location.country == "DE"': lambda name, where: (
        told_of(name) == BANK or where.country == "DE"
    ),
    'client.attributes[?"tier"].orValue("") == "gold"': lambda name, where: (
        told_of(name).get("tier") == "gold"
    ),
}  # fmt: skip

rules = st.lists(
    st.tuples(
        st.sampled_from(list(WHEN)),
        st.sampled_from(["require", "forbid", "deny"]),
        st.sampled_from(WHICH),
    ),
    max_size=4,
)
pools = st.sampled_from(
    [
        "", "pool: near", "pool: near, rank: {distance: false}",
        "rank: {latency: {cap_ms: 20, relax_to_ms: 60}}",
        "pool: near, rank: {latency: {cap_ms: 20}, distance: false}",
    ]
)  # fmt: skip
units = st.lists(
    st.tuples(st.sampled_from(PLACES), st.booleans(), st.integers(0, 3)), min_size=1, max_size=8
)
locations = st.one_of(
    st.sampled_from(PLACES).map(
        lambda p: at(p[0], p[1], country=p[2], continent=p[3], uncertainty_km=20.0)
    ),
    st.sampled_from(["DE:", "US:", ":"]).map(location_of),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "place",
                "place",
                "drain",
                "spread",
                "better",
                "anew",
                "replace",
                "measure",
                "fill",
                "free",
                "close",
                "stale",
                "pin",
                "unpin",
            ]
        ),
        st.sampled_from(CLIENTS),
        locations,
        st.integers(0, 7),
    ),
    max_size=25,
)
shards = st.sampled_from(
    ["", "shuffle_sharding: {units: 2}", "shuffle_sharding: {units: 3, among: {continents: [EU]}}"]
)
named = [f"u{number}" for number in range(8)] + ["gone"]
hooks = st.sampled_from(["", "hook: {name: h}", "hook: {name: h, away: refuse}"])
# What hooks say, one after another; servers would not take some of it. None: nothing.
answers = st.lists(
    st.one_of(
        st.none(),
        st.builds(
            HookAnswer,
            order=st.lists(st.sampled_from(named), max_size=4).map(tuple),
            vetoed=st.frozensets(st.sampled_from(named), max_size=4),
            asked=st.one_of(st.none(), st.frozensets(st.sampled_from(named), max_size=6)),
        ),
    ),
    min_size=1,
    max_size=6,
)


def told_of(name):
    """The attributes of a client."""
    return ({}, {"kind": "shop"}, BANK)[int(name[-1]) % 3]


def key_of(name):
    """By what a client is placed, of the record that is kept of it."""
    written = encode_assignment("u0", 1, 0, "x", attributes=told_of(name))
    return decode_assignment(written).placed_by(client(name))


def text_of(said, pool, hook="", shard=""):
    lines = ["groups: {gov: {patterns: ['gov-*']}, "
             "banks: {attributes: {kind: [bank, lender], tier: gold}}}",
             "pools: {near: {continents: [EU], spillover: far}, far: {}}", "rules:"]  # fmt: skip
    for at_, (when, kind, which) in enumerate(said):
        asks = "deny: true" if kind == "deny" else f"{kind}: {which}"
        lines.append(f"- {{name: r{at_}, when: '{when}', {asks}}}")
    last = ", ".join(part for part in ("name: last", "nowhere: spread", pool, hook) if part)
    lines.append(f"- {{{last}}}")
    return "\n".join([*lines, shard])


def shard_in(fleet, shard):
    """The units of acme's shuffle shard; all, where it has none."""
    if not shard:
        return {one.id for one in fleet.units}
    known = [one.id for one in fleet.units if "among" not in shard or one.continent == "EU"]

    def score(one):
        return blake2b(f"{one}\0acme".encode(), digest_size=8, person=b"shuffle").digest()

    return set(sorted(known, key=score)[-int(shard[26]) :])


def meant(one, which):
    """Whether a selector, as it is written, is of the unit."""
    return {
        "{countries: [DE, US]}": one.country in ("DE", "US"),
        "{continents: [EU]}": one.continent == "EU",
        "{labels: {tier: gold}}": one.labels.get("tier") == "gold",
        "{units: [u0, u1, u2]}": one.id in ("u0", "u1", "u2"),
    }[which]


def forbidden(found, name, where, said):
    """Whether any rule keeps the client off the unit."""
    for when, kind, which in said:
        if WHEN[when](name, where) and (
            kind == "deny" or meant(found, which) is (kind == "forbid")
        ):
            return True
    return False


def fleet_of(made):
    return PlacementFleet(
        units=tuple(
            unit(
                f"u{index}", index, latitude=place[0], longitude=place[1], country=place[2],
                continent=place[3], labels={"tier": "gold"} if gold else {},
            )
            for index, (place, gold, _) in enumerate(made)
        ),
        revision=1,
    )  # fmt: skip


class Measured:
    """Latencies: to one unit next to nothing, to all others long; from everywhere."""

    def __init__(self, number):
        self._ms = {f"u{other}": 5.0 if other == number else 500.0 for other in range(8)}

    def of(self, cell, country, continent):
        return self._ms


class Clients:
    """A PolicySource: the policy as it is compiled, and what the hook says of the next client."""

    default = PlacementPolicy()

    def __init__(self, policy):
        self.policy = policy
        self.answer = None
        self.pins = {}

    def of(self, tenant, location, client_key):
        policy = self.policy.of(location, client_key)
        if client_key in self.pins:
            policy = pinned(policy, self.pins[client_key])
        if policy.hook is None:
            return policy
        return unanswered(policy) if self.answer is None else answered(policy, self.answer)

    def revision_of(self, tenant):
        return 1


class Seen:
    """A server, as far as it knows: `fleet` may be older than the fleet is."""

    def __init__(self, fleet, source, occupancy):
        self.fleet = fleet
        self.chooser = PolicyChooser(fleet, source, occupancy)
        self.targets = Targets(fleet, source, occupancy)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(rules, rules, pools, hooks, answers, units, steps, shards)
@example(
    [], [], "", "", [None], [(PLACES[0], False, 3)] * 6,
    [("place", name, location_of(":"), 0) for name in CLIENTS], "shuffle_sharding: {units: 2}",
)  # fmt: skip
def test_nobody_is_placed_where_a_rule_forbids_it(
    said, later, pool, hook, answers, made, order, shard
):
    try:
        policy = compiled(text_of(said, pool, hook, shard))
        compiled(text_of(later, pool, hook, shard))
    except FaultyPolicy:  # rules that contradict each other are refused beforehand
        return
    occupancy = occupied([room for _, _, room in made], [0.5] * len(made))
    source = Clients(policy)
    first = server = Seen(fleet_of(made), source, occupancy)
    home = {}
    for at_, (step, name, where, number) in enumerate(order):
        index = number % len(made)
        key = key_of(name)
        source.answer = answers[at_ % len(answers)]
        if step == "fill":
            occupancy.update(index, 0, 1.0)
        elif step == "free":
            occupancy.update(index, 5, 0.1)
        elif step == "close":
            fleet = server.fleet
            closed = replace(fleet.units[index], accepting=False, not_accepting_reason="drains")
            changed = (*fleet.units[:index], closed, *fleet.units[index + 1 :])
            made_anew = PlacementFleet(units=changed, revision=2, latencies=fleet.latencies)
            server = Seen(made_anew, source, occupancy)
        elif step == "measure":
            measured = PlacementFleet(
                units=server.fleet.units, revision=2, latencies=Measured(number)
            )
            server = Seen(measured, source, occupancy)
        elif step == "replace":
            said, later = later, said
            source.policy = compiled(text_of(said, pool, hook, shard))
        elif step == "pin":
            source.pins[key] = f"u{number}"
        elif step == "unpin":
            source.pins.pop(key, None)
        elif step == "stale":  # started from a snapshot: everything is worked out anew
            source.policy = compiled(text_of(said, pool, hook, shard))
            server = Seen(first.fleet, source, occupancy)
        else:
            # Whoever is moved while it is away is where its record says.
            located = where if step == "place" else location_of(where.cell, where.source)
            if step == "better":
                choice = server.targets.better(located, "acme", key, home.get(name, "u0"))
            elif step == "spread":
                choice = server.targets.spread(located, "acme", key)
            elif step == "drain":
                choice = server.targets.place(located, "acme", key)
            elif step == "anew":
                choice = server.targets.anew(located, "acme", key, home.get(name, "u0"))
            else:
                choice = server.chooser.choose(located, "acme", key)
            # Who goes back to a unit of before, or stays in one, is held against this alone.
            allowed = {
                one.id
                for one in server.fleet.units
                if server.targets.allows(one.index, located, "acme", key)
            }
            assert allowed <= {
                one.id
                for one in server.fleet.units
                if not forbidden(one, name, located, said)
                and source.pins.get(key, one.id) == one.id
                and one.id in shard_in(server.fleet, shard)
            }
            if isinstance(choice, Choice):
                found = server.fleet.units[choice.unit_index]
                assert found.id in allowed
                assert found.accepting
                if hook:
                    check_heard(source.answer, found.id, needed="refuse" in hook)
                stays = step == "anew" and found.id == home.get(name, "u0")
                if not stays:  # whoever stays has its slot
                    assert occupancy.room[choice.unit_index] > 0
                    occupancy.use_slot(choice.unit_index)
                    home[name] = found.id


def check_heard(answer, unit, *, needed):
    """A client lives in a unit that its hook lets it."""
    assert answer is not None or not needed
    if answer is not None:
        assert unit not in answer.vetoed
        assert not needed or answer.asked is None or unit in answer.asked


@settings(deadline=None, max_examples=60)
@given(rules, units, st.sampled_from(CLIENTS), locations)
def test_a_client_that_some_unit_may_take_is_placed(said, made, name, where):
    """The other way round: nobody is left nowhere without a rule that does it."""
    try:
        policy = compiled(text_of(said, "pool: near"))
    except FaultyPolicy:
        return
    fleet = fleet_of(made)
    occupancy = occupied([1] * len(made), [0.5] * len(made))
    targets = Targets(fleet, policy.of(where, key_of(name)), occupancy)
    placed = isinstance(targets.place(where, "acme", key_of(name)), Choice)
    assert placed == any(not forbidden(one, name, where, said) for one in fleet.units)
