"""Shuffle sharding in a policy document, read strictly. Pure."""

from __future__ import annotations

import math

from provisioner.placement.selectors import UnitSelector
from provisioner.policy.document import ShuffleSharding
from provisioner.policy.fields import Fields
from provisioner.policy.unit_selectors import SELECTOR_FIELDS, read_selector

MOST_UNITS = 1_000
BY = "tenant"
SHARDING_FIELDS = ("units", "by", "among")


def read_shuffle_sharding(fields: Fields) -> ShuffleSharding | None:
    """Of the document; None: it has none."""
    if not fields.has("shuffle_sharding"):
        return None
    said = fields.part("shuffle_sharding", SHARDING_FIELDS)
    units = said.number("units", math.nan, low=1, high=MOST_UNITS)
    if not said.has("units"):
        said.problem("units", "say how many units each tenant has")
    elif not said.has_problems and units != int(units):
        said.problem("units", f"is {units:g}; give a whole number")
    said.choice("by", (BY,))
    among = UnitSelector()
    if said.has("among"):
        among = read_selector(said.part("among", SELECTOR_FIELDS))
    return ShuffleSharding(units=0 if math.isnan(units) else int(units), among=among)
