"""What attributes a group of a policy document asks for, read strictly. Pure."""

from __future__ import annotations

from control_plane.printable import quoted
from provisioner.placement.attributes import (
    MOST_ATTRIBUTES,
    MOST_VALUE_BYTES,
    is_attribute_name,
)
from provisioner.policy.fields import Fields

MOST_VALUES = 1_000  # of one attribute


def read_wanted_attributes(group: Fields) -> tuple[tuple[str, frozenset[str]], ...]:
    """By name the values of which one will do; empty where the group asks for none."""
    said = group.list_object("attributes")
    if len(said) > MOST_ATTRIBUTES:
        group.problem("attributes", f"has {len(said)} entries; a client has {MOST_ATTRIBUTES}")
        return ()
    wanted = group.inner("attributes", said)
    made = []
    for name in said:
        if not is_attribute_name(name):
            wanted.problem(
                "", f"{quoted(name)} is no name of an attribute; use A-Z a-z 0-9 '_' '-' '.'"
            )
            continue
        values = wanted.texts(name, most=MOST_VALUES)
        for value in values:
            if len(value.encode(errors="surrogatepass")) > MOST_VALUE_BYTES:
                wanted.problem(name, f"{quoted(value)} has more than {MOST_VALUE_BYTES} bytes")
        if not values and not wanted.has_problems:
            wanted.problem(name, "give the value, or a list of values, of which one will do")
        made.append((name, frozenset(values)))
    return tuple(made)
