"""Unknown fields of documents: which known one was most likely meant. Pure.

What reads a document says where an unknown field stands; the type that stands there says which
fields it could have had.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from msgspec import inspect

MOST_TOLD = 20
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(?:\d+|\.\.\.)\]")


def hint(complaint: str, kind: Any, place: str) -> str:
    """The end of a sentence about a complaint of msgspec that `place` (`rules[0].input`) of a
    document of this type has a field it cannot have; empty: that is not what it complains of."""
    found = _UNKNOWN.fullmatch(complaint)
    if found is None:
        return ""
    fields = sorted(_fields(_at(inspect.type_info(kind), place)))
    if not fields:
        return ""
    close = get_close_matches(found[1][:100], fields, n=1, cutoff=0.6)
    return (
        f"; did you mean {close[0]}?" if close else f"; known are {', '.join(fields[:MOST_TOLD])}"
    )


def _at(info: Any, place: str) -> list[Any]:
    """The types that may stand at a place."""
    infos = _parts(info)
    for step in _STEP.finditer(place):
        after: list[Any] = []
        for one in infos:
            if step[1] is None:
                inner = getattr(one, "item_type", None) or getattr(one, "value_type", None)
                after += [] if inner is None else _parts(inner)
            elif isinstance(one, inspect.StructType):
                named = [field.type for field in one.fields if field.encode_name == step[1]]
                after += [part for found in named for part in _parts(found)]
        infos = after
    return infos


def _parts(info: Any) -> list[Any]:
    return list(info.types) if isinstance(info, inspect.UnionType) else [info]


def _fields(infos: list[Any]) -> set[str]:
    return {
        field.encode_name
        for one in infos
        if isinstance(one, inspect.StructType)
        for field in one.fields
    }
