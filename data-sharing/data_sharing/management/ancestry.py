"""Ancestry: all that led to an event, decision, instruction or dead letter, and all that followed.

Read from what is kept, in both directions and within bounds: so many steps away, so many nodes. A
node beyond which something is left out for a bound says so. What passed its retention is told by
its name as long as something names it. Nothing here says what is in an event.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import islice
from typing import Final, TypeAlias

from control_plane.errors import InvalidInput, NotFound
from control_plane.printable import quoted
from data_sharing.decisions import ancestry_tables, dead_letters, history, outbox
from data_sharing.decisions.dead_letters import DeadLetter
from data_sharing.decisions.history import Decision
from data_sharing.decisions.outbox import StoredInstruction
from data_sharing.delivery.outcome_events import SOURCE
from data_sharing.feeds.log_tables import record_at, record_named
from data_sharing.feeds.port import Record
from data_sharing.instruction import Cause, instruction_of_outcome

MOST_DEPTH: Final = 1_000  # steps away
MOST_NODES: Final = 1_000
DEPTH, NODES = 64, 200  # where nothing else is asked for


class AncestryKind(IntEnum):
    """As in the contract."""

    EVENT = 1
    DECISION = 2
    INSTRUCTION = 3
    DEAD_LETTER = 4


Found: TypeAlias = Record | Cause | Decision | StoredInstruction | DeadLetter
"""What a node is; Cause: an event that is not kept any more."""


@dataclass(slots=True, kw_only=True)
class AncestryNode:
    """depth: steps from what was asked for, negative to what led to it. is_cut: something is left
    out behind it."""

    id: str
    kind: AncestryKind
    found: Found
    depth: int
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestry:
    """edges: ids, from what led to what followed."""

    root: str
    nodes: dict[str, AncestryNode] = field(default_factory=dict)
    edges: dict[tuple[str, str], None] = field(default_factory=dict)


def ancestry(
    db: sqlite3.Connection,
    tenant: str,
    name: str = "",
    event: Cause | None = None,
    *,
    depth: int = DEPTH,
    nodes: int = NODES,
) -> Ancestry:
    """name: id of a decision, an instruction or a dead letter; event: by source and id, or by
    position. Raises NotFound, InvalidInput."""
    start = _start(db, tenant, name, event)
    root = _node(start, 0)
    found = Ancestry(root=root.id, nodes={root.id: root})
    _walk(db, tenant, found, root, _causes, -1, depth, 1 + (nodes - 1) // 2)
    _walk(db, tenant, found, root, _effects, 1, depth, nodes)
    return found


_Neighbours: TypeAlias = Callable[[sqlite3.Connection, str, Found], Iterator[Found]]


def _walk(
    db: sqlite3.Connection, tenant: str, found: Ancestry, root: AncestryNode,
    neighbours: _Neighbours, step: int, depth: int, most: int,
) -> None:  # fmt: skip
    """Breadth first, so that what is near comes before what is far."""
    todo = [root]
    for node in todo:
        room = most - len(found.nodes)
        # One more than there is room for tells whether something is left out.
        for one in islice(neighbours(db, tenant, node.found), max(0, room) + len(todo) + 1):
            other = _node(one, node.depth + step)
            known = found.nodes.get(other.id)
            if known is None and (len(found.nodes) >= most or abs(other.depth) > depth):
                node.is_cut = True
                continue
            if known is None:
                found.nodes[other.id] = other
                todo.append(other)
            edge = (other.id, node.id) if step < 0 else (node.id, other.id)
            found.edges[edge] = None


def _start(db: sqlite3.Connection, tenant: str, name: str, event: Cause | None) -> Found:
    if event is not None and event.id:
        record = record_named(db, tenant, event.source, event.id)
    elif event is not None and event.position:
        record = record_at(db, tenant, event.position)
    elif name:
        return _named(db, tenant, name)
    else:
        raise InvalidInput("event", "name a decision, an instruction, a dead letter or an event")
    if record is None:
        raise NotFound(f"tenant {tenant} has no such event, or it passed its retention")
    return record


def _named(db: sqlite3.Connection, tenant: str, name: str) -> Found:
    found: Found | None = history.get(db, tenant, name) or _instruction(db, tenant, name)
    found = found or dead_letters.get(db, tenant, name)
    if found is None:
        raise NotFound(
            f"tenant {tenant} has no decision, instruction or dead letter {quoted(name)}, or not "
            "any more"
        )
    return found


def _instruction(db: sqlite3.Connection, tenant: str, name: str) -> StoredInstruction | None:
    stored = outbox.get(db, name)
    return stored if stored is not None and stored.instruction.tenant == tenant else None


def _node(found: Found, depth: int) -> AncestryNode:
    if isinstance(found, Record | Cause):
        kind = AncestryKind.EVENT
        name = f"e-{found.position}" if found.position else f"{found.source}#{found.id}"
    elif isinstance(found, Decision):
        kind, name = AncestryKind.DECISION, found.id
    elif isinstance(found, StoredInstruction):
        kind, name = AncestryKind.INSTRUCTION, found.instruction.id
    else:
        kind, name = AncestryKind.DEAD_LETTER, found.id
    return AncestryNode(id=name, kind=kind, found=found, depth=depth)


def _events(db: sqlite3.Connection, tenant: str, causes: tuple[Cause, ...]) -> Iterator[Found]:
    for one in causes:
        record = record_named(db, tenant, one.source, one.id)
        yield one if record is None else record


def _causes(db: sqlite3.Connection, tenant: str, found: Found) -> Iterator[Found]:
    """What directly led to it."""
    if isinstance(found, Record):
        if not ancestry_tables.names_cause(db, tenant, found.position):
            return
        causation = found.event().causation
        name = instruction_of_outcome(causation)
        # An outcome that somebody names is between the event and the instruction.
        told = record_named(db, tenant, SOURCE, causation) if name != causation else None
        cause: Found | None = told or (_instruction(db, tenant, name) if name else None)
        cause = cause or (causation and record_named(db, tenant, found.source, causation)) or None
        if cause is not None:
            yield cause
    elif isinstance(found, Decision):
        yield from _events(db, tenant, found.causes)
    elif isinstance(found, StoredInstruction):
        what = found.instruction
        decision = history.get(db, tenant, what.decision) if what.decision else None
        if decision is not None:
            yield decision
        else:
            yield from _events(db, tenant, what.causes)
    elif isinstance(found, DeadLetter):
        if found.event is not None:
            yield from _events(db, tenant, (found.event,))
        stored = _instruction(db, tenant, found.instruction)
        if stored is not None:
            yield stored


def _effects(db: sqlite3.Connection, tenant: str, found: Found) -> Iterator[Found]:
    """What directly followed from it."""
    if isinstance(found, Record):
        yield from history.of_event(db, tenant, found.position)
        for name in ancestry_tables.decisions_of(db, tenant, found.position, MOST_NODES):
            decision = history.get(db, tenant, name)
            if decision is not None:
                yield decision
        yield from dead_letters.of_event(db, tenant, found.position)
        anyones = found.source == SOURCE
        for record in _caused(db, tenant, found.id):
            if anyones or record.source == found.source:
                yield record
    elif isinstance(found, Decision):
        for name in found.instructions:
            stored = _instruction(db, tenant, name)
            if stored is not None:
                yield stored
    elif isinstance(found, StoredInstruction):
        yield from _caused(db, tenant, found.instruction.id)
        yield from dead_letters.of_instruction(db, tenant, found.instruction.id)


def _caused(db: sqlite3.Connection, tenant: str, name: str) -> Iterator[Record]:
    for position in ancestry_tables.caused_by(db, tenant, name, MOST_NODES):
        record = record_at(db, tenant, position)
        if record is not None:
            yield record
