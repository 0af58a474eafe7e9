"""What attributes a policy document names: that a group asks for, or a hook may be told. Read
strictly. Pure."""

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
            wanted.problem("", _no_name(name))
            continue
        values = wanted.texts(name, most=MOST_VALUES)
        for value in values:
            if len(value.encode(errors="surrogatepass")) > MOST_VALUE_BYTES:
                wanted.problem(name, f"{quoted(value)} has more than {MOST_VALUE_BYTES} bytes")
        if not values and not wanted.has_problems:
            wanted.problem(name, "give the value, or a list of values, of which one will do")
        made.append((name, frozenset(values)))
    return tuple(made)


def read_attribute_names(fields: Fields, name: str) -> frozenset[str]:
    """Of a field that lists them; none where it is not there."""
    said = fields.texts(name, most=MOST_ATTRIBUTES)
    for one in said:
        if not is_attribute_name(one):
            fields.problem(name, _no_name(one))
    return frozenset(said)


def _no_name(text: str) -> str:
    return f"{quoted(text)} is no name of an attribute; use A-Z a-z 0-9 '_' '-' '.'"
