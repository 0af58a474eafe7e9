"""What equal units come to when some of them leave is what those that are left come to."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.policy.equal_units import RULE_BITS, RULE_MASK, EqualUnits, Kind, without
from simulation.policy.winner_tables import WinnerTables

UNITS = 24
DRAW = np.random.default_rng(3)
TABLES = WinnerTables(
    DRAW.integers(0, 1 << 63, UNITS, dtype=np.uint64), DRAW.choice([1.0, 2.0, 0.5], UNITS)
)


def kind(units: tuple[int, ...]) -> Kind:
    return Kind(units=units, tables=TABLES, many=3, one=5, by_load=True)


@settings(max_examples=30)
@given(st.lists(st.integers(0, UNITS - 1), unique=True, min_size=1, max_size=UNITS))
def test_units_that_leave_in_any_order_leave_what_the_others_would_be(units: list[int]) -> None:
    equal = EqualUnits(kind(tuple(sorted(units))))
    slots = equal.slots
    for unit in units:
        left = without(equal.kind, unit)
        if left is None:
            assert equal.kind.units == (unit,)
            break
        equal.drop(unit, left)
        anew = EqualUnits(kind(left.units))
        assert equal.slots is slots
        assert equal.slots == anew.slots
        codes = np.frombuffer(slots, dtype=np.int32)
        assert set((codes >> RULE_BITS).tolist()) <= set(left.units)
        assert set((codes & RULE_MASK).tolist()) == {5 if len(left.units) == 1 else 3}
