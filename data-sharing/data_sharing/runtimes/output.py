"""What an application prints, kept within bounds, and read as one JSON document."""

from __future__ import annotations

import errno
from typing import Any

import msgspec

from data_sharing.runtimes.limits_watch import LimitsWatch
from data_sharing.runtimes.port import Invocation, InvocationStatus, Outcome

STDERR_TAIL_BYTES = 4096


class OutputBuffer:
    """Stdout up to a limit, past which the application is stopped."""

    def __init__(self, limit_bytes: int, watch: LimitsWatch) -> None:
        self._parts: list[bytes] = []
        self._room = limit_bytes
        self._watch = watch

    def write(self, data: bytes) -> int | None:
        """None: all taken; or a negative errno."""
        self._room -= len(data)
        if self._room < 0:
            self._watch.overflowed = True
            return -errno.ENOSPC
        self._parts.append(data)
        return None

    def content(self) -> bytes:
        """All that was printed."""
        return b"".join(self._parts)


class StderrTail:
    """The last bytes printed on stderr; the rest is let go."""

    def __init__(self) -> None:
        self._kept = b""

    def write(self, data: bytes) -> None:
        """Takes everything."""
        self._kept = (self._kept + data[-STDERR_TAIL_BYTES:])[-STDERR_TAIL_BYTES:]

    def text(self) -> str:
        """With what is not UTF-8 replaced."""
        return self._kept.decode(errors="replace")


def command_input(invocation: Invocation) -> bytes:
    """What a command finds on stdin: {"action": …, "key": …, "input": …}."""
    head = msgspec.json.encode({"action": invocation.action, "key": invocation.key})
    return head[:-1] + b',"input":' + invocation.input.encode() + b"}"


def read(content: bytes, limit_bytes: int, stderr_tail: str = "") -> Outcome:
    """DONE with the document, or BAD_OUTPUT with why it is none."""

    def bad(message: str) -> Outcome:
        return Outcome(status=InvocationStatus.BAD_OUTPUT, message=message, stderr_tail=stderr_tail)

    if len(content) > limit_bytes:
        return bad(f"its output is larger than {limit_bytes} bytes")
    if not content.strip():
        return bad("it gave no output; one JSON document is expected")
    try:
        text = content.decode()
        value: Any = msgspec.json.decode(content)
    except UnicodeDecodeError as error:
        return bad(f"its output is not UTF-8: {error.reason} at byte {error.start}")
    except (msgspec.DecodeError, RecursionError) as error:
        return bad(f"its output is not one JSON document: {error}")
    return Outcome(status=InvocationStatus.DONE, output=text, value=value, stderr_tail=stderr_tail)
