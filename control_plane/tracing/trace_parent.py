"""TraceParent: where a trace comes from, as W3C Trace Context writes it in two headers.

Callers write them, so what is not well-formed counts as not there, without a word: a trace is no
reason to refuse a call. Bounded before it is looked at. Pure; OpenTelemetry's own reader logs what
it does not understand, at the caller's will. https://www.w3.org/TR/trace-context-1/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

PARENT_HEADER = "traceparent"
STATE_HEADER = "tracestate"
MAX_PARENT = 128  # characters; version 00 has 55, later ones may have more behind
MAX_STATE = 512
MAX_STATE_MEMBERS = 32

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[ -~]*)?\Z")
_KEY = r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_MEMBER = re.compile(rf"({_KEY})=[ -+\--<>-~]{{0,255}}[!-+\--<>-~]\Z")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A span that others are children of. trace_id, span_id: 32 and 16 lower-case hexadecimal
    digits, not all 0; state: well-formed `tracestate`; empty: none."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""

    def header(self) -> str:
        """As `traceparent`, version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"

    def text(self) -> str:
        """Both in one, for what keeps it: `traceparent`, a space and `tracestate` if any."""
        return f"{self.header()} {self.state}" if self.state else self.header()


def read_text(text: str) -> TraceParent | None:
    """What `TraceParent.text` wrote; None for anything else."""
    parent, _, state = text.partition(" ")
    return read_trace_parent(parent, state)


def read_trace_parent(parent: object, state: object = "") -> TraceParent | None:
    """Of the values of both headers; None: there is none, or it is malformed. A malformed state
    is left out, and takes nothing else along."""
    if not isinstance(parent, str) or len(parent) > MAX_PARENT:
        return None
    found = _PARENT.match(parent)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or trace_id == _NO_TRACE:
        return None
    if span_id == _NO_SPAN:
        return None
    sampled = bool(int(flags, 16) & _SAMPLED)
    return TraceParent(trace_id, span_id, sampled, _read_state(state))


def trace_parent_of(metadata: Iterable[tuple[str, object]]) -> TraceParent | None:
    """Of a call's metadata, names in lower case. Where `traceparent` is there twice nobody knows
    which of them counts, so none does; lines of `tracestate` are one list (RFC 9110, 5.3)."""
    parent: object = None
    states: list[str] = []
    for name, value in metadata:
        if name == PARENT_HEADER:
            if parent is not None:
                return None
            parent = value
        elif name == STATE_HEADER and isinstance(value, str) and len(states) < MAX_STATE_MEMBERS:
            states.append(value)
    if parent is None:
        return None
    fits = sum(map(len, states)) + len(states) <= MAX_STATE + 1
    return read_trace_parent(parent, ",".join(states) if fits else "")


def _read_state(state: object) -> str:
    """Without blanks around its members and without empty ones; empty where it is malformed."""
    if not isinstance(state, str) or not state or len(state) > MAX_STATE:
        return ""
    members = [one for part in state.split(",") if (one := part.strip(" \t"))]
    keys = set()
    for member in members:
        found = _MEMBER.match(member)
        if found is None or found.group(1) in keys:
            return ""
        keys.add(found.group(1))
    return ",".join(members) if len(members) <= MAX_STATE_MEMBERS else ""
