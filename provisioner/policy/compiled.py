"""CompiledPolicy: what a tenant's policy says of one client, in two stages. Pure.

First by location: every condition that reads the location alone is answered once for each country,
or for each cell where it reads more, and kept. What is left open there is answered for each client:
conditions that read the client or the time, and rings. A tenant with neither is answered by one
look-up, and so is a client without attributes where rules ask for some alone. Clients of whom the
same rules hold share one PlacementPolicy.

A condition that cannot be decided (it needs a position, and none is known) holds where its rule
keeps clients off units, and does not where it only ranks them: nobody is placed where a rule may
forbid it. Each is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from control_plane import keys
from control_plane.expressions.expression import Bindings, Fault
from provisioner.geo.location import Location
from provisioner.placement.attributes import AttributedKey, Attributes, attributes_of
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.shuffle_shards import ShuffleShard
from provisioner.policy.certainty import Certainty, certainty_of, trusted
from provisioner.policy.conditions import Condition, environment, location_values
from provisioner.policy.document import PolicyDocument, Rule, Trust
from provisioner.policy.membership import bucket_after, buckets_in, groups_of, ring_prefix
from provisioner.policy.merging import merge

MOST_PLACES = 50_000  # of which the answers are kept, in two generations
MOST_MERGED = 1_024  # sets of rules of which the PlacementPolicy is kept

PlaceKey: TypeAlias = str | tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompiledRule:
    """condition None: always. bit: of the set of rules that hold."""

    rule: Rule
    condition: Condition | None
    bit: int

    @property
    def by_area(self) -> bool:
        """Whether country and continent decide it, or nothing at all."""
        condition = self.condition
        return self.rule.trust is Trust.LIKELY and (
            condition is None or not (condition.reads_cell or condition.for_each_client)
        )


class _Answer:
    """Of one place. policy: where no client can differ. held: the rules that hold there for
    everybody; open_rules: those that clients decide, whichever groups they are in; by_group: those
    that need one; by_attribute: that need an attribute. others: where there are such alone, the
    policy of clients whom none of these concerns and who are in no ring; prefixes: what the id of
    any other begins with; ids: or those it is among; attributed: or it has attributes."""

    __slots__ = (
        "attributed", "by_attribute", "by_group", "code", "held", "ids", "location", "open_rules",
        "others", "policy", "prefixes",
    )  # fmt: skip

    def __init__(self, held: int, code: str, location: dict[str, Any]) -> None:
        self.held = held
        self.code = code
        self.location = location
        self.policy: PlacementPolicy | None = None
        self.others: PlacementPolicy | None = None
        self.prefixes: tuple[bytes, ...] = ()
        self.ids: list[frozenset[bytes]] = []
        self.open_rules: list[CompiledRule] = []
        self.by_group: dict[str, list[CompiledRule]] = {}
        self.by_attribute: dict[str, list[CompiledRule]] = {}
        self.attributed = False

    @property
    def asks_few(self) -> bool:
        """Whether rules that need a group or an attribute are left open."""
        return bool(self.by_group or self.by_attribute)


class CompiledPolicy:
    """Made by `compiling`. undecided: how often a condition could not be decided, by rule."""

    def __init__(
        self,
        document: PolicyDocument,
        rules: tuple[CompiledRule, ...],
        *,
        tenant: str,
        revision: int,
        base: PlacementPolicy,
        wall: Callable[[], float],
    ) -> None:
        self.document = document
        self.rules = rules
        self.tenant = tenant
        self.revision = revision
        self.base = base
        sharding = document.shuffle_sharding
        self.shuffle_shard = (
            ShuffleShard(tenant=tenant, units=sharding.units, among=sharding.among)
            if sharding is not None
            else None
        )
        self.undecided: dict[str, int] = {}
        self._wall = wall
        self._by_area = [one for one in rules if one.by_area]
        self._by_place = [one for one in rules if not one.by_area]
        conditions = [one.condition for one in rules if one.condition is not None]
        coded = [rule.rule.rank.preferences for rule in rules if rule.rule.rank is not None]
        self._codes = {code for table in coded if table is not None for code, _ in table.table}
        self._reads_source = any(one.rule.trust is Trust.DECLARED for one in rules) or any(
            one.reads_source for one in conditions
        )
        self._reads_subdivision = any(one.reads_subdivision for one in conditions) or any(
            "-" in code for code in self._codes
        )
        self._long_key = self._reads_source or self._reads_subdivision
        self._id_starts = len(keys.assignment(tenant, ""))
        self._ids = {
            group.name: frozenset(one.encode() for one in group.ids) for group in document.groups
        }
        self._rings = [
            (1 << (len(rules) + at), ring_prefix(ring.name, tenant), buckets_in(ring))
            for at, ring in enumerate(document.rings)
        ]
        self._places: dict[PlaceKey, _Answer] = {}
        self._older: dict[PlaceKey, _Answer] = {}
        self._areas: dict[tuple[str, str], int] = {}
        self._merged: dict[tuple[int, str], PlacementPolicy] = {}

    def of(self, location: Location, client_key: bytes) -> PlacementPolicy:
        """By what a client is placed. client_key: `assignments/<tenant>/<client>`, as
        `with_attributes` has it."""
        key: PlaceKey = location.cell
        if self._long_key:
            key = self._key(location)
        answer = self._places.get(key)
        if answer is None:
            answer = self._answer(key, location)
        if answer.policy is not None:
            return answer.policy
        if (
            answer.others is not None
            and not (answer.attributed and type(client_key) is AttributedKey)
            and not client_key.startswith(answer.prefixes, self._id_starts)
            and not (answer.ids and self._is_named(answer, client_key))
        ):
            if not self._rings:
                return answer.others
            return self._policy(answer.held | self._rings_of(client_key), answer.code)
        held = answer.held | self._of_client(answer, client_key)
        return self._policy(held, answer.code)

    def is_alike(self, location: Location) -> bool:
        """Whether no client at the location can be treated otherwise than another, whenever it
        comes: no rule that may hold there reads the client or the time, and there are no rings."""
        key: PlaceKey = self._key(location) if self._long_key else location.cell
        answer = self._places.get(key)
        return (answer or self._answer(key, location)).policy is not None

    # -- by place ----------------------------------------------------------------------

    def _key(self, location: Location) -> PlaceKey:
        return (
            location.cell,
            location.source.value if self._reads_source else "",
            location.subdivision if self._reads_subdivision else "",
        )

    def _answer(self, key: PlaceKey, location: Location) -> _Answer:
        found = self._older.pop(key, None)
        if found is None:
            found = self._made(location)
        if len(self._places) >= MOST_PLACES // 2:
            self._older, self._places = self._places, {}
        self._places[key] = found
        return found

    def _made(self, location: Location) -> _Answer:
        certainty = certainty_of(location, self.document.certain_within_km)
        values = location_values(location, certainty)
        answer = _Answer(self._of_area(location, values), self._code(location), values)
        bindings = environment().bind({"location": values})
        for one in self._by_place:
            said = self._holds(one, location, certainty, bindings)
            if said is True:
                answer.held |= one.bit
            elif said is None:
                self._leave_open(answer, one)
        if not (answer.open_rules or answer.asks_few or self.document.rings):
            answer.policy = self._policy(answer.held, answer.code)
        elif not answer.open_rules:
            self._tell_others(answer)
        return answer

    def _tell_others(self, answer: _Answer) -> None:
        """Rules that need a group or an attribute concern few clients: the others are told from
        these by how their ids begin, which is less than a group asks for, and by having no
        attributes, and no condition is evaluated for them."""
        needed = [group for group in self.document.groups if group.name in answer.by_group]
        patterns = [pattern for group in needed for pattern in group.patterns]
        answer.prefixes = tuple({one.partition("*")[0].encode() for one in patterns})
        answer.ids = [self._ids[group.name] for group in needed if group.ids]
        answer.attributed = bool(answer.by_attribute) or any(one.attributes for one in needed)
        answer.others = self._policy(answer.held, answer.code)

    def _is_named(self, answer: _Answer, client_key: bytes) -> bool:
        client_id = client_key[self._id_starts :]
        for ids in answer.ids:  # noqa: SIM110  # `any` takes longer, for every client
            if client_id in ids:
                return True
        return False

    def _of_area(self, location: Location, values: dict[str, Any]) -> int:
        """The rules that hold in a country, as bits."""
        key = (location.country, location.continent)
        held = self._areas.get(key)
        if held is None:
            bindings = environment().bind({"location": values})
            held = 0
            for one in self._by_area:
                if self._holds(one, location, Certainty.UNKNOWN, bindings):
                    held |= one.bit
            if len(self._areas) >= MOST_PLACES:
                self._areas.clear()
            self._areas[key] = held
        return held

    def _holds(
        self, one: CompiledRule, location: Location, certainty: Certainty, bindings: Bindings
    ) -> bool | None:
        """By its location; None: each client decides."""
        if not trusted(location, certainty, one.rule.trust):
            return False
        condition = one.condition
        if condition is None:
            return True
        said = condition.expression.holds(bindings)
        if isinstance(said, Fault):
            return None if condition.for_each_client else self._undecided(one)
        return said

    def _leave_open(self, answer: _Answer, one: CompiledRule) -> None:
        condition = one.condition
        if condition is not None and (condition.groups or condition.attributes):
            for group in condition.groups:
                answer.by_group.setdefault(group, []).append(one)
            for name in condition.attributes:
                answer.by_attribute.setdefault(name, []).append(one)
        else:
            answer.open_rules.append(one)

    def _code(self, location: Location) -> str:
        """The entry of the tables of preferences that is the location's; empty: none is."""
        if location.subdivision in self._codes:
            return location.subdivision
        return location.country if location.country in self._codes else ""

    # -- by client ---------------------------------------------------------------------

    def _of_client(self, answer: _Answer, client_key: bytes) -> int:
        """The rules and rings that hold for a client besides, as bits."""
        document = self.document
        held = self._rings_of(client_key)
        if not (answer.open_rules or answer.asks_few):
            return held
        client_id = client_of(client_key)
        attributes = attributes_of(client_key)
        groups = groups_of(client_id, document.groups, attributes)
        asked: Iterable[CompiledRule] = answer.open_rules
        if answer.asks_few:
            few = [one for group in groups for one in answer.by_group.get(group, ())]
            few += [one for name in attributes for one in answer.by_attribute.get(name, ())]
            asked = [*answer.open_rules, *dict.fromkeys(few)]
        if not asked:
            return held
        rings = [
            ring.name
            for ring, (bit, _, _) in zip(document.rings, self._rings, strict=True)
            if held & bit
        ]
        bindings = self.client_bindings(answer.location, client_id, groups, rings, attributes)
        for one in asked:
            assert one.condition is not None
            said = one.condition.expression.holds(bindings)
            if self._undecided(one) if isinstance(said, Fault) else said:
                held |= one.bit
        return held

    def groups_of(self, client_key: bytes) -> Sequence[str]:
        """The names of the groups that a client is in, in their order."""
        return groups_of(client_of(client_key), self.document.groups, attributes_of(client_key))

    def _rings_of(self, client_key: bytes) -> int:
        """Those that a client is in, as bits."""
        held, client_id = 0, client_key[self._id_starts :]
        for bit, prefix, share in self._rings:
            if bucket_after(prefix, client_id) < share:
                held |= bit
        return held

    def client_bindings(
        self,
        location: dict[str, Any],
        client_id: str,
        groups: Sequence[str],
        rings: Sequence[str],
        attributes: Attributes,
    ) -> Bindings:
        """What the conditions of one client read, now."""
        client = {
            "id": client_id,
            "groups": list(groups),
            "rings": list(rings),
            "attributes": dict(attributes),
        }
        now = datetime.fromtimestamp(self._wall(), UTC)
        return environment().bind({"location": location, "client": client, "now": now})

    def _undecided(self, one: CompiledRule) -> bool:
        name = one.rule.name
        self.undecided[name] = self.undecided.get(name, 0) + 1
        return one.rule.is_hard

    def _policy(self, held: int, code: str) -> PlacementPolicy:
        key = (held, code)
        found = self._merged.get(key)
        if found is None:
            if len(self._merged) >= MOST_MERGED:
                # Answers that hold one keep it; clients that come anew get an equal one.
                self._merged.clear()
            rules = [one.rule for one in self.rules if one.bit & held]
            of_rings = held >> len(self.rules)
            rings = [
                (ring, bool(of_rings >> at & 1)) for at, ring in enumerate(self.document.rings)
            ]
            found = self._merged[key] = merge(
                self.document, rules, rings, code, base=self.base, revision=self.revision,
                shuffle_shard=self.shuffle_shard,
            )  # fmt: skip
        return found


def client_of(client_key: bytes) -> str:
    """The id of the client whose assignment has this key."""
    return client_key[client_key.rfind(b"/") + 1 :].decode()
