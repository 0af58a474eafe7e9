"""The ancestry of a decision: for programs, as a tree, and in the words of its nodes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.views.decisions import event_document, time_of, word
from homeport.api.datasharing.v1 import decision_pb2 as pb

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.tree import Tree

COLOURS = {"event": "cyan", "decision": "green", "instruction": "yellow", "dead-letter": "red"}


def kind_of(node: pb.AncestryNode) -> str:
    return word(pb.AncestryKind, node.kind, "ANCESTRY_KIND_")


def ancestry_document(answer: pb.GetAncestryResponse) -> dict[str, Any]:
    return {
        "root": answer.root_id,
        "nodes": [_document(one) for one in answer.nodes],
        "edges": [{"cause": one.cause_id, "effect": one.effect_id} for one in answer.edges],
        "cut": answer.cut,
    }


def _document(node: pb.AncestryNode) -> dict[str, Any]:
    return {
        "id": node.node_id,
        "kind": kind_of(node),
        "time": time_of(node.time) if node.HasField("time") else None,
        "title": node.title,
        "event": event_document(node.event) if node.HasField("event") else None,
        "rule": node.rule_id or None,
        "plan": node.plan_id or None,
        "correlation": node.correlation_id or None,
        "hops": node.hops,
        "depth": node.depth,
        "hidden": node.hidden,
        "values_hidden": node.values_hidden,
        "cut": node.cut,
    }


def words_of(node: pb.AncestryNode) -> str:
    """One line of a node, without its kind."""
    if node.HasField("event"):
        event = node.event
        hidden = "a sharing policy hides the rest" if node.hidden else ""
        said = " · ".join(filter(None, (node.title, hidden)))
        return f"{event.type} {event.id} from {event.source}" + (f" · {said}" if said else "")
    return node.title


def ancestry_view(answer: pb.GetAncestryResponse) -> RenderableType:
    """What led to it, farthest last, and what followed. A node to which several ways lead is told
    in full once."""
    from rich.console import Group
    from rich.tree import Tree

    nodes = {one.node_id: one for one in answer.nodes}
    causes: dict[str, list[str]] = defaultdict(list)
    effects: dict[str, list[str]] = defaultdict(list)
    for edge in answer.edges:
        causes[edge.effect_id].append(edge.cause_id)
        effects[edge.cause_id].append(edge.effect_id)
    root = answer.root_id
    parts: list[RenderableType] = []
    for heading, following, sign in (("because of", causes, -1), ("led to", effects, 1)):
        tree = Tree(_line(nodes[root]) + f" [dim]{heading}[/]")
        _grow(tree, root, nodes, following, sign)
        if not tree.children:
            tree.add("[dim]nothing that is kept[/]")
        parts.append(tree)
    if answer.cut:
        parts.append("[yellow]… more is left out; see --depth and --nodes[/]")
    return Group(*parts)


def _grow(
    tree: Tree,
    root: str,
    nodes: dict[str, pb.AncestryNode],
    following: dict[str, list[str]],
    sign: int,
) -> None:
    told = {root}
    todo = [(tree, root)]
    while todo:  # not by recursion: a flow may be longer than Python's stack
        branch, name = todo.pop()
        for other in following[name]:
            node = nodes[other]
            if node.depth * sign <= 0:
                continue
            if other in told:
                branch.add(f"[dim]{escape(other)}, as above[/]")
                continue
            told.add(other)
            todo.append((branch.add(_line(node)), other))
        if nodes[name].cut:
            branch.add("[yellow]…[/]")


def _line(node: pb.AncestryNode) -> str:
    kind = kind_of(node)
    return (
        f"[{COLOURS.get(kind, 'dim')}]{escape(kind)}[/] {escape(words_of(node))} "
        f"[dim]{escape(node.node_id)}[/]"
    )
