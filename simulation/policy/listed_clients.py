"""ListedClients: clients that there are, in the order in which they are told, a few bytes each.

Of each client its class, its slot and the unit where it lives are kept, in arrays of fixed width:
what a record says beside that is not. Places are told apart by what decides there.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Mapping, MutableMapping
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from control_plane import keys
from control_plane.errors import InvalidInput
from provisioner.geo.location import Location
from provisioner.placement.attributes import Attributes, with_attributes
from provisioner.placement.rendezvous import SLOT_MASK
from simulation.policy.client_classes import MOST_KINDS, ClientClasses

MOST_CLIENTS = 20_000_000  # 12 bytes each
MOST_PLACES = 500_000

HOMELESS = -1


class ListedClients:
    """Clients of one tenant. units: the place of each in the fleet, by id; pins: where the policies
    of `classes` look for that of a client while it is told (PinnedClients)."""

    def __init__(
        self,
        classes: ClientClasses,
        *,
        tenant: str,
        units: Mapping[str, int],
        pins: MutableMapping[bytes, str],
        most: int = MOST_CLIENTS,
        most_places: int = MOST_PLACES,
    ) -> None:
        self._classes = classes
        self._tenant = tenant
        self._units = units
        self._pins = pins
        self._most, self._most_places = most, most_places
        self._places: dict[Hashable, Location] = {}
        self._numbers: dict[tuple[int, Hashable], int] = {}
        self._kinds: set[Hashable] = set()
        self._class, self._slot, self._home = array("i"), array("i"), array("i")
        self._living = 0

    def __len__(self) -> int:
        return len(self._class)

    @property
    def all_live_somewhere(self) -> bool:
        """Whether of each it was told in which unit it lives."""
        return self._living == len(self._class)

    @property
    def any_lives_somewhere(self) -> bool:
        """Whether of any."""
        return self._living > 0

    def add(
        self,
        client_id: str,
        location: Location,
        unit: str = "",
        attributes: Attributes | None = None,
        *,
        pin: str | None = None,
    ) -> None:
        """One more. unit: in which it lives; empty: in none; pin: in which it has to; None: there
        is no such. Raises InvalidInput for a unit that the fleet does not have, and where there
        are too many clients or places."""
        if len(self._class) >= self._most:
            raise InvalidInput(
                "population", f"there are more than {self._most:,} clients; simulate a part of them"
            )
        home = HOMELESS
        if unit:
            home = self._units.get(unit, HOMELESS)
            if home == HOMELESS:
                raise InvalidInput(
                    "population",
                    f"client {client_id} lives in unit {unit}, which the fleet does not have",
                )
            self._living += 1
        key = with_attributes(keys.assignment(self._tenant, client_id), attributes)
        if pin is not None:
            self._pins[key] = pin
        self._class.append(self._number(key, self._place(location), pin))
        self._pins.pop(key, None)
        self._slot.append(crc32(key) & SLOT_MASK)
        self._home.append(home)

    def clients(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(classes, slots) of the clients from `first` on; shape (count,) each."""
        part = slice(first, first + count)
        return _wide(self._class[part]), _wide(self._slot[part])

    def homes(self, first: int, count: int) -> NDArray[np.int32]:
        """In which unit each of them lives, by its place in the fleet; HOMELESS: in none."""
        return np.array(self._home[first : first + count], dtype=np.int32)

    def at_home(self) -> NDArray[np.int64]:
        """How many live in each unit of the fleet; shape (units,)."""
        homes = np.frombuffer(self._home, dtype=np.int32) if self._home else np.zeros(0, np.int32)
        return np.bincount(homes[homes >= 0], minlength=len(self._units))

    def _place(self, location: Location) -> Location:
        """The same object for what is the same place: cells are as fine as records have them."""
        key = (
            location.cell, location.source, location.subdivision, location.latitude,
            location.longitude, location.uncertainty_km,
        )  # fmt: skip
        found = self._places.get(key)
        if found is None:
            if len(self._places) >= self._most_places:
                raise InvalidInput(
                    "population",
                    f"clients are at more than {self._most_places:,} places; simulate a part of "
                    "them, or round positions",
                )
            found = self._places[key] = location
        return found

    def _number(self, key: bytes, place: Location, pin: str | None) -> int:
        classes = self._classes
        kind: Hashable = None
        if classes.tells_clients_apart or pin is not None:
            if classes.each_is_its_own:
                return classes.number(place, key)
            kind = classes.kind_of(key)
            if kind not in self._kinds:
                if len(self._kinds) >= MOST_KINDS:
                    return classes.number(place, key)
                self._kinds.add(kind)
        number = self._numbers.get((id(place), kind))
        if number is None:
            number = self._numbers[id(place), kind] = classes.number(place, key)
        return number


class LivedHomes:
    """Where clients live in fact, asked as a run is that places them."""

    def __init__(self, clients: ListedClients) -> None:
        self._clients = clients
        self._asked = 0
        self.clients = [0] * len(clients.at_home())  # of each unit by now
        self.rules = ["home"]

    def place(
        self, classes: NDArray[np.int64], slots: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
        """As ExactRun has it, of the clients next in their order."""
        homes = self._clients.homes(self._asked, len(classes))
        self._asked += len(classes)
        living = np.bincount(homes[homes >= 0], minlength=len(self.clients))
        self.clients = [have + more for have, more in zip(self.clients, living, strict=True)]
        return homes, np.zeros(len(classes), dtype=np.int16)


def _wide(values: array[int]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)
