"""encode_assignment: the record of a client's home as JSON, which `assignment` reads.

Written by template on the hot path: every string in it is a checked name or made by us, and cells
hold no quotes; only the subdivision, which is a geo database's or an operator's text, and
attributes are escaped.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from provisioner.placement.attributes import Attributes

MOST_SUBDIVISION = 64  # characters; a longer text is no code, and is not kept
_encode = msgspec.json.Encoder().encode


def encode_assignment(
    unit: str,
    epoch: int,
    at_ms: int,
    cell: str,
    policy: int = 0,
    home: str = "",
    why: str = "",
    key: str = "",
    first_ms: int = 0,
    subdivision: str = "",
    attributes: Attributes | None = None,
) -> bytes:
    """The record as JSON, field by field as AssignmentRecord reads it. why: as
    encode_provenance has it. key, first_ms: as AssignmentRecord has them; the latter is left out
    at epoch 1, where it is `at_ms`. subdivision: of the location, left out beyond
    MOST_SUBDIVISION characters. attributes: checked."""
    more = f',"home":"{home}"' if home else ""
    if why:
        more += f',"why":{why}'
    if key:
        more += f',"key":"{key}"'
    if first_ms and epoch > 1:
        more += f',"first":{first_ms}'
    if subdivision:
        more += _subdivision(subdivision)
    if attributes:
        more += f',"attributes":{_encode(attributes).decode()}'
    return (
        f'{{"unit":"{unit}","epoch":{epoch},"at_ms":{at_ms},"cell":"{cell}",'
        f'"policy":{policy}{more}}}'
    ).encode()


@lru_cache(maxsize=10_000)
def _subdivision(text: str) -> str:
    """The field of a subdivision; empty where it is too long, or not a text that can be shown."""
    if len(text) > MOST_SUBDIVISION or not text.isprintable():
        return ""
    return f',"sub":{msgspec.json.encode(text).decode()}'
