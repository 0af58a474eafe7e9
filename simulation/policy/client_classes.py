"""ClientClasses: who the clients of a comparison are, so far as two policies tell them apart.

A class is a location under one policy before and one after. What policies read of clients beside
their location comes to a few kinds (in which groups and rings a client is); of each kind one
client is asked about for each place.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from control_plane import keys
from provisioner.geo.location import NOWHERE, Location
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.rendezvous import SLOT_MASK
from simulation.policy.decisions import Decisions
from simulation.population.population import Population

SAMPLED = 4_096  # clients of which the share of each kind is told, where kinds are weighed
_BLOCK = 1_000  # consecutive numbers that share all but three digits


class ClientPolicy(Protocol):
    """By what clients are placed. of: the same object for clients that are treated alike;
    kind_of: what it reads of a client beside its location, None: nothing of any."""

    def of(self, location: Location, client_key: bytes) -> PlacementPolicy: ...

    @property
    def kind_of(self) -> Callable[[str], Hashable] | None: ...


@dataclass(frozen=True, slots=True)
class OnePolicy:
    """The same for everybody."""

    policy: PlacementPolicy

    def of(self, location: Location, client_key: bytes) -> PlacementPolicy:
        return self.policy

    @property
    def kind_of(self) -> Callable[[str], Hashable] | None:
        return None


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

    @property
    def kind_of(self) -> Callable[[str], Hashable] | None:
        """What either side reads of a client beside its location; None: neither reads any."""
        readers = [one for one in (self._before[0].kind_of, self._after[0].kind_of) if one]
        if not readers:
            return None
        return lambda client_id: tuple(read(client_id) for read in readers)


class ModelledClients:
    """Users of a population, numbered from 0, as clients of one tenant."""

    def __init__(
        self, population: Population, classes: ClientClasses, *, tenant: str, seed: int
    ) -> None:
        self._population = population
        self._classes = classes
        self._seed = seed
        self._prefix = keys.assignment(tenant, f"user-{seed}-")
        self._places = [place if place is not None else NOWHERE for place in population.places]
        self._by_kind: dict[Hashable, NDArray[np.int64]] = {}
        self._everybody = self._of_kind(None, self._key(0)) if classes.kind_of is None else None

    def clients(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(classes, slots) of the users from `first` on; shape (count,) each."""
        places = self._population.places_of(first, count, self._seed)
        slots = self._slots(first, count)
        if self._everybody is not None:
            return self._everybody[places], slots
        kind_of = self._classes.kind_of
        assert kind_of is not None
        found = np.empty(count, dtype=np.int64)
        for at, place in enumerate(places.tolist()):
            key = self._key(first + at)
            tables = self._of_kind(kind_of(_client_id(key)), key)
            found[at] = tables[place]
        return found, slots

    def weights(self) -> list[float]:
        """The share of all users in each class that there is by now; 1.0 together."""
        shares = self._population.shares_by_place()
        kind_of = self._classes.kind_of
        kinds: dict[Hashable, tuple[bytes, int]] = {}
        if kind_of is not None:
            for number in range(SAMPLED):
                key = self._key(number)
                kind = kind_of(_client_id(key))
                first, times = kinds.get(kind, (key, 0))
                kinds[kind] = (first, times + 1)
        parts = [
            (self._of_kind(kind, key), times / SAMPLED) for kind, (key, times) in kinds.items()
        ] or [(self._of_kind(None, self._key(0)), 1.0)]
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
        return self._prefix + b"%d" % number

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


def _client_id(key: bytes) -> str:
    return key[key.rfind(b"/") + 1 :].decode()


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
