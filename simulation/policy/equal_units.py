"""EqualUnits: units between which the hash of clients decides, and what each slot of clients gets.

Units leave one by one, as they fill or enter another step of load; then only the slots that the
unit had won are decided anew, in the same table, which classes of clients share. What a slot gets
is a code of a unit and of the rule by which it won.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from provisioner.placement.rendezvous import SLOTS
from simulation.policy.winner_tables import WinnerTables

RULE_BITS = 4  # of a code; the rest is the unit
RULE_MASK = (1 << RULE_BITS) - 1
MOST_CONSTANT = 4_096  # 8 KiB each


@dataclass(frozen=True, slots=True)
class Kind:
    """What two that are of the same units have to have in common to be the same. units:
    ascending; many, one: numbers of the rules while there are several, and when one is left;
    by_load: whether a unit leaves when it enters another step of load. (A unit that a hook orders
    is equal with no other, so that no rule tells units of one set apart.)"""

    units: tuple[int, ...]
    tables: WinnerTables
    many: int
    one: int
    by_load: bool


class EqualUnits:
    """Of at least one unit. slots: the code of each slot, always the same object; classes: whose
    decision this is; gone: it is nobody's any more."""

    __slots__ = ("_values", "classes", "gone", "kind", "slots")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.classes: set[int] = set()
        self.gone = False
        if len(kind.units) > 1:
            table = (kind.tables.of(kind.units) << RULE_BITS) | kind.many
            self.slots = array("i", table.tobytes())
        else:
            self.slots = constant(kind.units[0], kind.one)
        self._values = np.frombuffer(self.slots, dtype=np.int32)

    def drop(self, unit: int, left: Kind) -> None:
        """Goes on without one of its units; left: what `without` said."""
        kind = self.kind = left
        if len(kind.units) == 1:
            self._values[:] = (kind.units[0] << RULE_BITS) | kind.one
        else:
            lost = np.flatnonzero(self._values == (unit << RULE_BITS | kind.many))
            self._values[lost] = (kind.tables.among(kind.units, lost) << RULE_BITS) | kind.many


def without(kind: Kind, unit: int) -> Kind | None:
    """The same without a unit; None: nothing is left."""
    units = tuple(one for one in kind.units if one != unit)
    return replace(kind, units=units) if units else None


@lru_cache(maxsize=MOST_CONSTANT)
def constant(unit: int, rule: int) -> array[int]:
    """The codes of all slots where every one gets the same; not to be changed."""
    return array("i", [unit << RULE_BITS | rule]) * SLOTS
