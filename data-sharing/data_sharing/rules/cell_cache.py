"""CellCache: the state of rules and forecasts in small cells, loaded when first needed.

Write-back cache of one decision worker. Cells are decoded once and kept; those that changed since
the last `drain` are encoded there, so that a cell that many events of a batch touch is written
once. When the batch's transaction fails, `forget` goes back to what is stored. Loading is the
caller's; nothing here reads or writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from data_sharing.event import Event
from data_sharing.forecasts.forecast import Forecast
from data_sharing.rules.cell_id import CellId as CellId
from data_sharing.rules.effects import EventRef
from data_sharing.rules.event_view import double
from data_sharing.rules.memory_uses import MemoryUses
from data_sharing.rules.rollout_counts import RolloutCounts
from data_sharing.rules.rule_health import RuleHealth

NEVER_MS = 1 << 62


class CellWrite(NamedTuple):
    """content None: delete it. After expires_ms, by the clock, it means nothing: it may be
    deleted any time. before: bytes that it had; 0: it is new. producer: whose event made it, now
    or then; empty: none did."""

    id: CellId
    content: bytes | None
    expires_ms: int
    before: int = 0
    producer: str = ""


class StoredCell(NamedTuple):
    """producer: whose event made it; empty: none did."""

    content: bytes
    producer: str = ""


class StoredEvent(msgspec.Struct, array_like=True, frozen=True):
    """An event as a cell keeps it."""

    source: str
    id: str
    type: str
    key: str
    subject: str
    time_ms: int
    position: int
    data: dict[str, Any]
    hops: int = 0
    correlation: str = ""

    @property
    def correlation_id(self) -> str:
        return self.correlation or self.id

    @property
    def ref(self) -> EventRef:
        return EventRef(self.source, self.id, self.position, self.hops, self.correlation_id)


def stored_event(event: Event) -> StoredEvent:
    return StoredEvent(
        event.source, event.id, event.type, event.key, event.subject, event.time_ms,
        event.position, dict(event.data), event.hops, event.correlation,
    )  # fmt: skip


class Sum(msgspec.Struct, array_like=True):
    """Aggregate of values; least and most mean nothing while count is 0."""

    count: int = 0
    valued: int = 0  # of them, those with a value
    total: float = 0.0
    least: float = 0.0
    most: float = 0.0
    hops: int = 0  # the most that an event of it has

    def add(self, value: float | None, hops: int = 0) -> None:
        self.count += 1
        self.hops = max(self.hops, hops)
        if value is None:
            return
        self.least = min(self.least, value) if self.valued else value
        self.most = max(self.most, value) if self.valued else value
        self.valued += 1
        self.total += value


class WindowState(msgspec.Struct, array_like=True):
    """entries: (time, value) of a sliding window, by time. open: sums of tumbling windows by
    their start. closed_ms: end of the newest one that is closed."""

    shape: str
    entries: list[tuple[int, float | None]] = msgspec.field(default_factory=list)
    open: dict[int, Sum] = msgspec.field(default_factory=dict)
    closed_ms: int = 0


class Awaiting(msgspec.Struct, array_like=True):
    """A complete combination that fires at due_ms unless an absent input's event comes."""

    due_ms: int
    until_ms: int  # event time up to which such an event stops it
    events: dict[str, list[StoredEvent]]


class JoinState(msgspec.Struct, array_like=True):
    shape: str
    buffers: dict[str, list[StoredEvent]] = msgspec.field(default_factory=dict)
    awaiting: list[Awaiting] = msgspec.field(default_factory=list)


class PartialMatch(msgspec.Struct, array_like=True):
    """The first steps of a sequence, and what they wait for."""

    events: dict[str, StoredEvent]  # by step, in their order
    until_ms: int  # event time; what comes later is no part of it
    due_ms: int = 0  # all steps were seen: when it fires, unless an event ends it; 0: not yet


class SequenceState(msgspec.Struct, array_like=True):
    """partials: in the order in which they began. ended_ms: up to where it is decided that nothing
    came."""

    shape: str
    partials: list[PartialMatch] = msgspec.field(default_factory=list)
    ended_ms: int = 0


class Deferred(msgspec.Struct, array_like=True):
    """A firing that waits for the rule's hours."""

    due_ms: int
    plan_id: str
    events: dict[str, list[StoredEvent]]


class LimitCell(msgspec.Struct, array_like=True):
    """When a rule fired of late, at all keys; ascending. acted_ms: as for RuleCell."""

    fired_ms: list[int] = msgspec.field(default_factory=list)
    acted_ms: list[int] | None = None


class Pending(msgspec.Struct, array_like=True):
    """A debounced match: the newest, and when the first came."""

    due_ms: int
    first_ms: int
    events: dict[str, list[StoredEvent]]


class RuleCell(msgspec.Struct, array_like=True):
    """What one rule remembers at one key."""

    newest_ms: int = 0  # time of the newest event
    expires_ms: int = 0  # by the clock; after it the cell is as if it were not there
    windows: dict[str, WindowState] = msgspec.field(default_factory=dict)
    join: JoinState | None = None
    pending: dict[str, Pending] = msgspec.field(default_factory=dict)  # by plan
    fired_ms: dict[str, int] = msgspec.field(default_factory=dict)  # by plan
    evicted: int = 0  # events dropped for want of room, ever
    late: int = 0  # events that came too late, ever
    seal: str = ""  # of what the rule was shown (SharingPolicies.seal) when this was made
    sequence: SequenceState | None = None
    limited_ms: list[int] = msgspec.field(default_factory=list)  # firings that limits count
    deferred: list[Deferred] = msgspec.field(default_factory=list)  # oldest first
    # Since a rollout, firings of either version that were done; None: those of limited_ms were.
    acted_ms: list[int] | None = None


_TYPES: dict[str, type[msgspec.Struct]] = {
    "rule": RuleCell, "forecast": Forecast, "health": RuleHealth, "rollout": RolloutCounts,
    "limit": LimitCell,
}  # fmt: skip
_DECODERS = {kind: msgspec.msgpack.Decoder(of) for kind, of in _TYPES.items()}
_ENCODER = msgspec.msgpack.Encoder()
_ABSENT: Any = object()


class CellCache:
    """`load` gives what is stored of a cell, None where nothing is."""

    def __init__(
        self,
        load: Callable[[CellId], StoredCell | None],
        *,
        most_cells: int = 100_000,
        most_bytes: int = 32 << 20,
        uses: MemoryUses | None = None,
    ) -> None:
        """most_cells, most_bytes: that are kept from one drain to the next, in bytes as stored,
        with the names of who made them.
        uses: counts what is kept, and says what is full; None: nothing is."""
        self._load = load
        self.uses = uses
        self._most, self._most_bytes = most_cells, most_bytes
        self._sizes: dict[CellId, int] = {}  # as they were loaded or drained last
        self._made_by: dict[CellId, str] = {}  # of those that are stored or new
        self.bytes = 0  # of all of them, and of those names
        self._cells: dict[CellId, Any] = {}  # least recently drained first; None: nothing there
        self._dirty: dict[CellId, int] = {}  # to when it expires
        self._new = set[CellId]()  # that were not there

    def get(self, cell: CellId) -> Any:
        """The cell's content, to be changed in place and marked; None where there is none."""
        found = self._cells.get(cell, _ABSENT)
        if found is _ABSENT:
            stored = self._load(cell)
            found = None if stored is None else decoded(cell.kind, stored.content)
            self._cells[cell] = found
            if stored is not None:
                self._name(cell, stored.producer)
                self._resize(cell, len(stored.content))
        return found

    def size(self, cell: CellId) -> int | None:
        """Bytes as it was stored last, of a cell that was asked for; 0: it is not stored yet;
        None: there is none."""
        found = self._sizes.get(cell)
        return 0 if found is None and cell in self._new else found

    def put(
        self, cell: CellId, content: Any, expires_ms: int = NEVER_MS, producer: str = ""
    ) -> None:
        """Marks a cell as changed, which was asked for before; None: it goes. producer: whose event
        makes it, where it is new."""
        if content is not None and cell not in self._sizes and cell not in self._new:
            self._new.add(cell)
            self._name(cell, producer)
            if self.uses is not None:
                self.uses.added(cell, producer)
        self._cells[cell] = content
        self._dirty[cell] = expires_ms

    def drain(self) -> list[CellWrite]:
        """What must be stored, in the transaction of the events that changed it."""
        sizes, made_by = self._sizes, self._made_by
        writes = [
            CellWrite(
                cell,
                None if content is None else _encoded(content),
                expires_ms,
                sizes.get(cell, 0),
                made_by.get(cell, ""),
            )
            for cell, expires_ms in self._dirty.items()
            for content in (self._cells[cell],)
        ]
        self._dirty.clear()
        self._new.clear()
        for cell, content, *_ in writes:
            self._resize(cell, 0 if content is None else len(content))
        while self._cells and (len(self._cells) > self._most or self.bytes > self._most_bytes):
            oldest = next(iter(self._cells))
            del self._cells[oldest]
            self._resize(oldest, 0)
        return writes

    def forget(self) -> None:
        """What changed since the last drain, and all that was drained, may not be stored:
        everything is loaded again when needed."""
        self._cells.clear()
        self._dirty.clear()
        self._new.clear()
        self._sizes.clear()
        self._made_by.clear()
        self.bytes = 0

    def drop(self, cell: CellId) -> None:
        """A cell that was deleted beneath (expired, or its rule retired) is not kept."""
        self._cells.pop(cell, None)
        self._dirty.pop(cell, None)
        self._new.discard(cell)
        self._resize(cell, 0)

    def _resize(self, cell: CellId, size: int) -> None:
        """It is stored with so many bytes; 0: it is not, or not kept here."""
        self.bytes += size - self._sizes.pop(cell, 0)
        if size:
            self._sizes[cell] = size
        else:
            self.bytes -= len(self._made_by.pop(cell, ""))

    def _name(self, cell: CellId, producer: str) -> None:
        """Its event made the cell, which nobody is known to have made."""
        if producer:
            self._made_by[cell] = producer
            self.bytes += len(producer)

    def fork(self) -> CellCache:
        """A copy that changes nothing here: for explaining and trying."""
        changed = dict(self._cells)

        def load(cell: CellId) -> StoredCell | None:
            if cell in changed:
                content = changed[cell]
                return None if content is None else StoredCell(_encoded(content))
            return self._load(cell)

        return CellCache(load, most_cells=self._most, most_bytes=self._most_bytes)


def _encoded(content: Any) -> bytes:
    try:
        return _ENCODER.encode(content)
    except OverflowError:  # an int of an event that MessagePack's 64 bits do not hold
        return _ENCODER.encode(_within_64_bits(msgspec.to_builtins(content, str_keys=False)))


def _within_64_bits(value: Any) -> Any:
    """With doubles for greater ints, which is how expressions read them."""
    if isinstance(value, dict):
        return {key: _within_64_bits(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_within_64_bits(one) for one in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return double(value)
    return value


def decoded(kind: str, raw: bytes) -> Any:
    """The content of a cell of that kind. None for what an older release wrote in a form that is
    not read any more."""
    try:
        return _DECODERS[kind].decode(raw)
    except msgspec.ValidationError:
        return None
