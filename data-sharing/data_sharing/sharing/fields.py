"""Fields of an event as policies and consents name them, as paths below the event. Pure.

`key` and `subject` are the attributes of these names; "" is all of the data, and a JSON Pointer a
field in it. Pointers lead through objects alone: what is in a list is shared with all of the list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from control_plane.printable import quoted
from data_sharing.event import Event
from data_sharing.schemas import steps_of

Path: TypeAlias = tuple[str, ...]

KEY: Path = ("key",)
SUBJECT: Path = ("subject",)
DATA: Path = ("data",)
ATTRIBUTES = {"key": KEY, "subject": SUBJECT}
LONGEST = 256  # characters
DEEPEST = 8  # steps
_POINTER = re.compile(r"(?:/(?:[^/~]|~[01])*)*")  # RFC 6901


def path_of(field: str) -> Path:
    """Raises ValueError where it is no field.

    >>> path_of("/position/lat"), path_of("key"), path_of("")
    (('data', 'position', 'lat'), ('key',), ('data',))
    """
    if field in ATTRIBUTES:
        return ATTRIBUTES[field]
    if len(field) > LONGEST:
        raise ValueError(f"a field has at most {LONGEST} characters")
    if _POINTER.fullmatch(field) is None:
        raise ValueError(f'{quoted(field)} is neither `key`, `subject`, "" nor a JSON Pointer')
    steps = steps_of(field)
    if len(steps) > DEEPEST:
        raise ValueError(f"{quoted(field)} has more than {DEEPEST} steps")
    return (*DATA, *steps)


def field_of(path: Path) -> str:
    """As it is written.

    >>> field_of(("data", "a/b")), field_of(("key",)), field_of(("data",))
    ('/a~1b', 'key', '')
    """
    if path[:1] != DATA:
        return path[0]
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in path[1:])


def covers(outer: Path, path: Path) -> bool:
    """Whether the path is the outer one or leads into it."""
    return path[: len(outer)] == outer


def subject_at(path: Path, event: Event) -> str:
    """The user that an event is about, whom it names there; empty: nobody."""
    if path == KEY:
        return event.key
    if path == SUBJECT:
        return event.subject
    value: Any = event.data
    for name in path[1:]:
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    return str(value)
