"""ClientClasses: who the clients of a comparison are, so far as two policies tell them apart.

A class is a location under one policy before and one after. What policies read of clients beside
their location comes to a few kinds (in which groups and rings a client is); of each kind one
client is asked about for each place.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from control_plane import keys
from provisioner.geo.location import NOWHERE, Location
from provisioner.placement.attributes import with_attributes
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.rendezvous import SLOT_MASK
from simulation.policy.attribute_shares import NO_SHARES, AttributeShares
from simulation.policy.client_policy import ClientPolicy, Reads
from simulation.policy.decisions import Decisions
from simulation.population.population import Population

SAMPLED = 10_000  # users of whom it is told how many of each kind there are
SAMPLED_EACH = 64
MOST_KINDS = 64  # of which it is kept what they come to at every place
_BLOCK = 1_000  # consecutive numbers that share all but three digits


class ClientClasses:
    """Numbers classes in step with both sides' decisions. locations: of each class."""

    def __init__(
        self, before: tuple[ClientPolicy, Decisions], after: tuple[ClientPolicy, Decisions]
    ) -> None:
        self._before, self._after = before, after
        self.locations: list[Location] = []
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._kept: list[tuple[Location, PlacementPolicy, PlacementPolicy]] = []

    def number(self, location: Location, client_key: bytes) -> int:
        """The class of a client. Locations are told apart by identity: give the same object."""
        one, other = (
            self._before[0].of(location, client_key),
            self._after[0].of(location, client_key),
        )
        key = (id(location), id(one), id(other))
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.locations)
            self.locations.append(location)
            self._kept.append((location, one, other))  # so that identities stay theirs
            self._before[1].add(location, one)
            self._after[1].add(location, other)
        return found

    def kind_of(self, client_key: bytes) -> Hashable:
        """What both sides read of a client beside its location; None: neither reads any."""
        one, other = self._before[0].kind_of(client_key), self._after[0].kind_of(client_key)
        return None if one is None and other is None else (one, other)

    @property
    def tells_clients_apart(self) -> bool:
        """Whether either side reads more of clients than their location."""
        return self._before[0].reads is not Reads.LOCATION or (
            self._after[0].reads is not Reads.LOCATION
        )

    @property
    def each_is_its_own(self) -> bool:
        """Whether either side may treat any two clients differently."""
        return Reads.CLIENT in (self._before[0].reads, self._after[0].reads)


class ModelledClients:
    """Users of a population, numbered from 0, as clients of one tenant. shares: which of them have
    which attributes."""

    def __init__(
        self,
        population: Population,
        classes: ClientClasses,
        *,
        tenant: str,
        seed: int,
        shares: AttributeShares = NO_SHARES,
    ) -> None:
        self._shares = shares
        self._population = population
        self._classes = classes
        self._seed = seed
        self._prefix = keys.assignment(tenant, f"user-{seed}-")
        self._places = [place if place is not None else NOWHERE for place in population.places]
        self._by_kind: dict[Hashable, NDArray[np.int64]] = {}

    def clients(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(classes, slots) of the users from `first` on; shape (count,) each."""
        places = self._population.places_of(first, count, self._seed)
        slots = self._slots(first, count)
        if not self._classes.tells_clients_apart:
            return self._of_kind(None, self._key(0))[places], slots
        found = np.empty(count, dtype=np.int64)
        each = self._classes.each_is_its_own
        for at, place in enumerate(places.tolist()):
            key = self._key(first + at)
            kind = None if each else self._classes.kind_of(key)
            if each or (kind not in self._by_kind and len(self._by_kind) >= MOST_KINDS):
                found[at] = self._classes.number(self._places[place], key)
            else:
                found[at] = self._of_kind(kind, key)[place]
        return found, slots

    def weights(self) -> list[float]:
        """The share of all users in each class; 1.0 together. Where policies read more than the
        location, of some users: SAMPLED, or SAMPLED_EACH where they read who each one is; of these
        the MOST_KINDS that most are of."""
        shares = self._population.shares_by_place()
        kinds: dict[Hashable, tuple[bytes, int]] = {}
        each = self._classes.each_is_its_own
        sampled = SAMPLED_EACH if each else SAMPLED
        if not self._classes.tells_clients_apart:
            sampled = 1
        for number in range(sampled):
            key = self._key(number)
            kind = number if each else self._classes.kind_of(key)
            first, times = kinds.get(kind, (key, 0))
            kinds[kind] = (first, times + 1)
        most = sorted(kinds.items(), key=lambda one: -one[1][1])[:MOST_KINDS]
        told = sum(times for _, (_, times) in most)
        parts = [(self._of_kind(kind, key), times / told) for kind, (key, times) in most]
        weights = np.zeros(len(self._classes.locations))
        for table, part in parts:
            np.add.at(weights, table, shares * part)
        found: list[float] = weights.tolist()
        return found

    def _of_kind(self, kind: Hashable, key: bytes) -> NDArray[np.int64]:
        """Of clients of a kind, of whom `key` is one, the class by place."""
        table = self._by_kind.get(kind)
        if table is None:
            number = self._classes.number
            table = np.array([number(place, key) for place in self._places], dtype=np.int64)
            self._by_kind[kind] = table
        return table

    def _key(self, number: int) -> bytes:
        key = self._prefix + b"%d" % number
        return with_attributes(key, self._shares.of(key)) if self._shares else key

    def _slots(self, first: int, count: int) -> NDArray[np.int64]:
        """The slots of consecutive clients. A CRC is affine: keys that differ in their last three
        digits alone have CRCs that differ in the same way, whatever comes before."""
        found = np.empty(count, dtype=np.int64)
        at = 0
        while at < count:
            number = first + at
            block = number // _BLOCK
            if block == 0:
                found[at] = crc32(self._key(number)) & SLOT_MASK
                at += 1
                continue
            begin = number - block * _BLOCK
            end = min(_BLOCK, begin + count - at)
            base = crc32(self._key(block) + b"000")
            found[at : at + end - begin] = (base ^ _DIFFERENCES[begin:end]) & SLOT_MASK
            at += end - begin
        return found


_DIFFERENCES = np.array(
    [crc32(b"000") ^ crc32(b"%03d" % number) for number in range(_BLOCK)], dtype=np.int64
)


def chunks(boundaries: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """(first, count) of stretches that end at each of the ascending boundaries, from 0 on, none
    longer than `most`."""
    first = 0
    for end in boundaries:
        while first < end:
            count = min(most, end - first)
            yield first, count
            first += count
