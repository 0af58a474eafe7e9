"""Reading the text of a card within bounds, before anything is done with it. Pure.

Bytes are counted first, then JSON is read, then its nesting is looked at without recursion; so
whatever somebody sends costs what 16 KiB of JSON cost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

from control_plane.printable import why_unreadable
from deployment_units.services.cards.card import (
    MAX_BYTES,
    MAX_DEPTH,
    Card,
    CardFlaw,
    CardFlawReason,
)
from deployment_units.services.cards.pointers import below

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MOST_VALUES = MAX_BYTES // 2  # no value in JSON and what parts it from the next is shorter


def read_value(
    given: bytes | str | Mapping[str, Any], *, most_depth: int = MAX_DEPTH
) -> Any | CardFlaw:
    """The value of a JSON text, or a value that was read already, within the bounds."""
    if isinstance(given, Mapping):
        return _depth_flaw(given, most_depth) or _size_flaw(given) or given
    try:
        content = given.encode() if isinstance(given, str) else given
    except UnicodeEncodeError:
        return _not_json("it is not UTF-8")
    content = content.removeprefix(_BYTE_ORDER_MARK)
    if len(content) > MAX_BYTES:
        return _too_large(len(content))
    try:
        value = json.loads(content.decode())
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except RecursionError:
        return _too_deep("", most_depth)
    except (ValueError, UnicodeError) as error:
        return _not_json(why_unreadable(error))
    return _depth_flaw(value, most_depth) or value


def card_text(card: Card) -> str:
    """A card that was checked, as JSON: the same of what says the same."""
    return json.dumps(card.document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _depth_flaw(value: Any, most_depth: int) -> CardFlaw | None:
    """Where a value is nested too deep, or has more parts than any within the size."""
    todo, seen = [("", value, 1)], 0
    while todo:
        pointer, node, depth = todo.pop()
        seen += 1
        if seen > _MOST_VALUES:
            return _too_large(None)
        if not isinstance(node, Mapping | list):
            continue
        if depth > most_depth:
            return _too_deep(pointer, most_depth)
        items = node.items() if isinstance(node, Mapping) else enumerate(node)
        some = islice(items, _MOST_VALUES + 1)  # more are too many, whatever is below them
        todo += [(below(pointer, step), one, depth + 1) for step, one in some]
    return None


def _size_flaw(value: Mapping[str, Any]) -> CardFlaw | None:
    try:
        size = len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, UnicodeError) as error:
        return _not_json(why_unreadable(error))
    return _too_large(size) if size > MAX_BYTES else None


def _not_json(why: str) -> CardFlaw:
    return CardFlaw(
        pointer="",
        reason=CardFlawReason.NOT_JSON,
        message=f"this is not JSON: {why}",
    )


def _too_large(size: int | None) -> CardFlaw:
    has = "more values than fit into that" if size is None else f"{size:,} bytes"
    return CardFlaw(
        pointer="",
        reason=CardFlawReason.TOO_LARGE,
        message=f"it has {has}; at most {MAX_BYTES:,} bytes of JSON are taken",
    )


def _too_deep(pointer: str, most_depth: int) -> CardFlaw:
    return CardFlaw(
        pointer=pointer,
        reason=CardFlawReason.TOO_DEEP,
        message=f"objects and lists are nested deeper than {most_depth} levels; "
        "put less inside each other",
    )
