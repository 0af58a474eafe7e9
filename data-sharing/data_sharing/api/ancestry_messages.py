"""Ancestry as messages, with no more of an event than whoever asks may see."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from data_sharing.api.decision_messages import cause_to_proto
from data_sharing.decisions.dead_letters import DeadLetter
from data_sharing.decisions.history import Decision
from data_sharing.decisions.outbox import StoredInstruction
from data_sharing.feeds.port import Record
from data_sharing.instruction import Cause
from data_sharing.management.ancestry import Ancestry, AncestryNode
from data_sharing.management.shown_records import Shown
from data_sharing.platforms.messages import timestamp
from homeport.api.datasharing.v1 import decision_pb2 as pb

Show: TypeAlias = Callable[[Record], Shown | None]
"""An event as whoever asks may see it; None: nothing of it."""
FindInstruction: TypeAlias = Callable[[str], StoredInstruction | None]


def ancestry_to_proto(
    found: Ancestry, show: Show, instruction: FindInstruction
) -> pb.GetAncestryResponse:
    """instruction: by its id, for the rule that a dead letter of it goes back to."""
    return pb.GetAncestryResponse(
        root_id=found.root,
        nodes=[_node(one, show, instruction) for one in found.nodes.values()],
        edges=[pb.AncestryEdge(cause_id=cause, effect_id=effect) for cause, effect in found.edges],
        cut=any(one.is_cut for one in found.nodes.values()),
    )


def _node(node: AncestryNode, show: Show, instruction: FindInstruction) -> pb.AncestryNode:
    message = pb.AncestryNode(
        node_id=node.id,
        kind=pb.AncestryKind.ValueType(int(node.kind)),
        depth=node.depth,
        cut=node.is_cut,
    )
    found = node.found
    if isinstance(found, Record):
        _event(message, found, show(found))
    elif isinstance(found, Cause):
        message.event.CopyFrom(cause_to_proto(found))
        message.title = "not kept any more"
    elif isinstance(found, Decision):
        message.time.CopyFrom(timestamp(found.time_ms))
        message.title, message.correlation_id = found.summary, found.correlation
        message.plan_id, message.hops = found.plan, found.hops
        message.rule_id, message.rule_version = found.rule, found.rule_version
    elif isinstance(found, StoredInstruction):
        what = found.instruction
        message.time.CopyFrom(timestamp(what.decided_at_ms))
        message.title = f"{what.application} {what.action}: {_state(found)}"
        message.correlation_id, message.hops = what.correlation, what.hops
        message.rule_id, message.rule_version = what.rule, what.rule_version
        message.plan_id = what.plan
    elif isinstance(found, DeadLetter):
        message.time.CopyFrom(timestamp(found.time_ms))
        message.title = found.reason
        message.rule_id, message.rule_version = found.rule, found.rule_version
        stored = instruction(found.instruction) if found.instruction else None
        if stored is not None:
            what = stored.instruction
            message.rule_id, message.rule_version = what.rule, what.rule_version
            message.correlation_id, message.hops = what.correlation, what.hops
    return message


def _event(message: pb.AncestryNode, record: Record, shown: Shown | None) -> None:
    """Its name is told, as decisions tell it; what it is about and of which flow only where it is
    shown."""
    message.time.CopyFrom(timestamp(record.accepted_ms))
    message.event.CopyFrom(
        pb.EventName(source=record.source, id=record.id, type=record.type, position=record.position)
    )
    event = record.event()
    message.hops = event.hops
    message.hidden = shown is None or shown.fields is not None
    message.correlation_id = event.id if message.hidden else event.correlation_id
    message.title = "" if shown is None else shown.record.key


def _state(stored: StoredInstruction) -> str:
    if stored.outcome is not None:
        return stored.outcome.status.value
    return stored.state.name.lower().replace("_", "-")
