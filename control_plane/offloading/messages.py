"""What goes between a pool and its children: frames of msgpack, a length before each.

Errors of a task travel as their class, field and message, and are raised again on the other side.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from control_plane import errors
from control_plane.errors import InvalidInput, ServiceError

HEADER_BYTES = 4
DONE, ASKED, FAILED, DEFECT, NO_CPU, NO_MEMORY, TOO_LARGE, DIED = (
    "done", "asked", "failed", "defect", "no-cpu", "no-memory", "too-large", "died",
)  # fmt: skip
_encode = msgspec.msgpack.Encoder().encode


class Reply(NamedTuple):
    """What a child says. value: the result, the question, an error, or words for the log."""

    kind: str
    value: Any = None


def frame(value: Any) -> bytes:
    """A message with its length. Raises TypeError for what is not plain data."""
    content = _encode(value)
    return len(content).to_bytes(HEADER_BYTES, "big") + content


def unframed(content: bytes) -> Any:
    """Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(content)


def error_value(error: ServiceError) -> list[Any]:
    """As plain data. Errors of other modules travel as what they are a kind of here."""
    kind = next(one for one in type(error).__mro__ if one.__module__ == errors.__name__)
    field = error.field if isinstance(error, InvalidInput) else ""
    parts = [error_value(one) for one in getattr(error, "faults", ())]
    return [kind.__name__, field, error.message, parts]


def error_of(value: list[Any]) -> ServiceError:
    """The error that `error_value` was given."""
    name, field, message, parts = value
    kind: Any = getattr(errors, name, ServiceError)
    if not issubclass(kind, InvalidInput):
        plain: ServiceError = kind(message)
        return plain
    made: InvalidInput = kind(field, message)
    if parts:
        made.faults = tuple(map(error_of, parts))  # type: ignore[attr-defined]
    return made
