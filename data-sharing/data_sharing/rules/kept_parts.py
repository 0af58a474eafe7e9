"""Kept parts: what a rule holds at a key of its windows and of the inputs of its join, for people.

Of each so many of the newest events as people look at, and how many there are. It is what the rule
was shown and nothing else: a field that is hidden from it is in no cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data_sharing.rules.cell_cache import JoinState, RuleCell, StoredEvent, WindowState
from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.joins import Join
from data_sharing.rules.results import KeptEvent, KeptPart
from data_sharing.rules.windows import Window

MOST_SHOWN = 10  # events of one part
MOST_PARTS = 20


def kept_parts(rule: CompiledRule, cell: RuleCell, at_ms: int) -> tuple[KeptPart, ...]:
    """At a key, as of a time: Unix ms. Windows by name, then inputs in their order."""
    found = [
        _of_window(fed.window, cell.windows.get(name), at_ms)
        for name, fed in sorted(rule.windows.items())[:MOST_PARTS]
    ]
    if rule.join is not None:
        found += _of_join(rule.join, cell.join)
    return tuple(found)


def _of_window(window: Window, state: WindowState | None, at_ms: int) -> KeptPart:
    if state is not None and state.shape != window.shape:
        state = None
    if window.over_ms:
        from_ms = at_ms - window.over_ms
        entries = [] if state is None else state.entries
        inside = [one for one in entries if from_ms < one[0] <= at_ms]
        newest = tuple(KeptEvent(*one) for one in inside[-MOST_SHOWN:])
        return KeptPart("window", window.name, len(inside), newest, from_ms, at_ms)
    start = window.start(at_ms)
    total = None if state is None else state.open.get(start)
    count, until_ms = 0 if total is None else total.count, start + window.every_ms
    # Events of a tumbling window are a sum from the first one on.
    return KeptPart("window", window.name, count, (), start, until_ms)


def _of_join(join: Join, state: JoinState | None) -> Iterator[KeptPart]:
    if state is not None and state.shape != join.shape:
        state = None
    buffers = {} if state is None else state.buffers
    there = [one for name in join.inputs for one in buffers.get(name, ())]
    newest_ms = max((one.time_ms for one in there), default=0)
    for name in join.inputs:
        events = buffers.get(name, [])
        waits = bool(there) and not events
        until_ms = newest_ms + join.within_ms if waits else 0
        yield KeptPart("input", name, len(events), _newest(events), until_ms=until_ms)
    awaiting = () if state is None else state.awaiting
    until_ms = max((one.until_ms for one in awaiting), default=0)
    for name in join.absent:
        events = buffers.get(name, [])
        yield KeptPart("absent", name, len(events), _newest(events), until_ms=until_ms)


def _newest(events: Sequence[StoredEvent]) -> tuple[KeptEvent, ...]:
    return tuple(KeptEvent(one.time_ms, None, one.source, one.id) for one in events[-MOST_SHOWN:])
