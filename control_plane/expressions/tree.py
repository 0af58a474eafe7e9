"""The syntax tree of a checked expression, as plain values that pure code can walk.

Macros are already expanded, except `has`, which is a Select with `test_only`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from control_plane.expressions.checked import checked_expr


@dataclass(frozen=True, slots=True)
class Constant:
    value: bool | int | float | str | bytes | None
    at: int


@dataclass(frozen=True, slots=True)
class Ident:
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Select:
    """operand.field; with test_only, has(operand.field). at: place in the text, characters."""

    operand: Node
    field: str
    test_only: bool
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """Operators are calls as well: `_&&_`, `_==_`, `@in`, `!_`. target: of a method."""

    function: str
    target: Node | None
    args: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Items:
    """A list or map literal; of a map, keys and values in turn."""

    items: tuple[Node, ...]
    is_list: bool
    at: int


@dataclass(frozen=True, slots=True)
class Comprehension:
    """What all, exists, exists_one, map and filter expand to. `names` are bound inside."""

    over: Node
    inside: tuple[Node, ...]
    names: frozenset[str]
    at: int


Node: TypeAlias = Constant | Ident | Select | Call | Items | Comprehension
Path: TypeAlias = tuple[str, ...]
_NONE: frozenset[str] = frozenset()


def tree_of(serialized: bytes) -> Node:
    """Raises ValueError where it is nested too deeply."""
    checked = checked_expr(serialized)
    places = {position.key: position.value for position in checked.source_info.positions}
    return _node(checked.expr, places)


def _node(expr: Any, places: Mapping[int, int]) -> Node:
    at = places.get(expr.id, 0)
    kind = expr.WhichOneof("expr_kind")
    of: Any = getattr(expr, kind)
    if kind == "const_expr":
        which = of.WhichOneof("constant_kind")
        value = None if which in (None, "null_value") else getattr(of, which)
        return Constant(value, at)
    if kind == "ident_expr":
        return Ident(of.name, at)
    if kind == "select_expr":
        return Select(_node(of.operand, places), of.field, of.test_only, at)
    if kind == "call_expr":
        target = _node(of.target, places) if of.HasField("target") else None
        return Call(of.function, target, tuple(_node(one, places) for one in of.args), at)
    if kind == "list_expr":
        return Items(tuple(_node(one, places) for one in of.elements), True, at)
    if kind == "struct_expr":
        pairs = [(entry.map_key, entry.value) for entry in of.entries]
        return Items(tuple(_node(one, places) for pair in pairs for one in pair), False, at)
    parts = (of.accu_init, of.loop_condition, of.loop_step, of.result)
    return Comprehension(
        _node(of.iter_range, places),
        tuple(_node(part, places) for part in parts),
        frozenset((of.iter_var, of.accu_var)),
        at,
    )


def children(node: Node) -> tuple[Node, ...]:
    """What the node is made of, in order."""
    if isinstance(node, (Constant, Ident)):
        return ()
    if isinstance(node, Select):
        return (node.operand,)
    if isinstance(node, Call):
        return node.args if node.target is None else (node.target, *node.args)
    if isinstance(node, Items):
        return node.items
    return (node.over, *node.inside)


def path_of(node: Node) -> Path | None:
    """`a.b["c"]` as ("a", "b", "c"); None for anything else."""
    if isinstance(node, Ident):
        return (node.name,)
    if isinstance(node, Select) and not node.test_only:
        before = path_of(node.operand)
        return None if before is None else (*before, node.field)
    if isinstance(node, Call) and node.function == "_[_]" and len(node.args) == 2:
        before, name = path_of(node.args[0]), node.args[1]
        if before is not None and isinstance(name, Constant) and isinstance(name.value, str):
            return (*before, name.value)
    return None


def walk(node: Node) -> list[tuple[Node, frozenset[str]]]:
    """Every node with the names that comprehensions around it bind, outermost first."""
    found: list[tuple[Node, frozenset[str]]] = []
    _walk(node, _NONE, found)
    return found


def _walk(node: Node, bound: frozenset[str], found: list[tuple[Node, frozenset[str]]]) -> None:
    found.append((node, bound))
    if isinstance(node, Comprehension):
        _walk(node.over, bound, found)
        bound |= node.names
        for part in node.inside:
            _walk(part, bound, found)
        return
    for child in children(node):
        _walk(child, bound, found)


def paths_read(node: Node) -> list[tuple[Path, bool, int]]:
    """The longest paths it reads from variables, as (path, only tested by `has`, place)."""
    found: list[tuple[Path, bool, int]] = []
    _add_paths(node, _NONE, found)
    return found


def _add_paths(node: Node, bound: frozenset[str], found: list[tuple[Path, bool, int]]) -> None:
    if isinstance(node, Constant):
        return
    path = path_of(node)
    if path is not None:
        if path[0] not in bound:
            found.append((path, False, node.at))
        return
    if isinstance(node, Select) and node.test_only:
        before = path_of(node.operand)
        if before is not None:
            if before[0] not in bound:
                found.append(((*before, node.field), True, node.at))
            return
    if isinstance(node, Comprehension):
        _add_paths(node.over, bound, found)
        bound |= node.names
        for part in node.inside:
            _add_paths(part, bound, found)
        return
    for child in children(node):
        _add_paths(child, bound, found)
