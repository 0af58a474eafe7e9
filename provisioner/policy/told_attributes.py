"""What is told of a client's attributes: held against bounds, put to what it has already. Pure."""

from __future__ import annotations

from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from provisioner.placement.attributes import (
    MOST_ATTRIBUTES,
    MOST_BYTES,
    MOST_NAME_BYTES,
    MOST_VALUE_BYTES,
    Attributes,
    is_attribute_name,
)


def check_told(told: Attributes) -> Attributes:
    """What somebody says of a client; an empty value takes the attribute away. Raises
    InvalidInput."""
    if len(told) > MOST_ATTRIBUTES:
        raise InvalidInput(
            "attributes", f"attributes holds {len(told)} entries; at most {MOST_ATTRIBUTES}"
        )
    size = 0
    for name, value in told.items():
        if not is_attribute_name(name):
            raise InvalidInput(
                "attributes",
                f"{quoted(name)} is no name of an attribute; use 1 to {MOST_NAME_BYTES} of A-Z a-z "
                "0-9 '_' '-' '.', a letter or '_' first",
            )
        length = len(value.encode(errors="surrogatepass"))
        if length > MOST_VALUE_BYTES or not (value.isprintable() or not value):
            raise InvalidInput(
                "attributes",
                f"the attribute {name} is {quoted(value)}; a value has at most {MOST_VALUE_BYTES} "
                "bytes, and no control characters",
            )
        size += len(name) + length
    if size > MOST_BYTES:
        raise InvalidInput(
            "attributes", f"attributes has {size:,} bytes together; at most {MOST_BYTES:,}"
        )
    return told


def told_anew(kept: Attributes | None, told: Attributes) -> Attributes:
    """What a client has once this was told of it: others stay, empty values are taken away. In the
    order of their names. Raises InvalidInput where that is too much."""
    after = {**(kept or {}), **told}
    return check_told({name: after[name] for name in sorted(after) if after[name]})
