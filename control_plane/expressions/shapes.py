"""Shapes: expressions that differ in their constants alone share what was parsed and checked. Pure.

What CEL's parser and type checker say of a text depends on its constants by their types alone. So
of a second text that is the same but for plain texts and numbers, the tree is that of the first one
with these constants in it. That holds for what is taken here, which is little on purpose: constants
without escapes, signs of which are told from the tree, no macros, and functions that no constant
can make wrong. What a constant can cost, or break, is checked for each text as ever.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Final

from control_plane.expressions.tree import Call, Comprehension, Constant, Items, Node, Select, walk

_TOKENS: Final = re.compile(
    r"""(?P<text>"[^"\\\n\r]*"(?!")|'[^'\\\n\r]*'(?!'))"""
    r"""|(?P<number>(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?(?![\w.]))"""
    r"""|[A-Za-z_][A-Za-z0-9_]*(?!["'])|[ ()\[\],&|=!<>\-]|\.(?![0-9])""",
    re.ASCII,
)
_FUNCTIONS: Final = frozenset(
    ("_&&_", "_||_", "!_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "startsWith",
     "endsWith", "contains", "_[_]")
)  # fmt: skip


class Shape:
    """name: of all texts alike; the rest is of this one. starts: of its constants in the text, in
    rising order; lengths: as they are written there."""

    __slots__ = ("lengths", "name", "starts", "values")

    def __init__(
        self, name: str, values: list[str | int | float], starts: list[int], lengths: list[int]
    ) -> None:
        self.name = name
        self.values = values
        self.starts = starts
        self.lengths = lengths


class Template:
    """The tree of one text of a shape. Made by `template_of`."""

    __slots__ = ("_shape", "_tree")

    def __init__(self, shape: Shape, tree: Node) -> None:
        self._shape = shape
        self._tree = tree

    def filled(self, shape: Shape) -> Node:
        """The tree of another text of that shape."""
        moved = [0]
        for own, other in zip(self._shape.lengths, shape.lengths, strict=True):
            moved.append(moved[-1] + other - own)
        return self._filled(self._tree, shape, moved)

    def _filled(self, node: Node, shape: Shape, moved: list[int]) -> Node:
        at = node.at + moved[bisect_left(self._shape.starts, node.at)]
        if isinstance(node, Constant):
            number = _number(node, self._shape)
            if number < 0:
                return Constant(node.value, at)
            value = shape.values[number]
            if _is_negative(node) and not isinstance(value, str):
                value = -value
            return Constant(value, at)
        if isinstance(node, Select):
            operand = self._filled(node.operand, shape, moved)
            return Select(operand, node.field, node.test_only, at)
        if isinstance(node, Call):
            target = None if node.target is None else self._filled(node.target, shape, moved)
            args = [self._filled(one, shape, moved) for one in node.args]
            return Call(node.function, target, tuple(args), at)
        if isinstance(node, Items):
            items = [self._filled(one, shape, moved) for one in node.items]
            return Items(tuple(items), node.is_list, at)
        if isinstance(node, Comprehension):  # `template_of` takes none
            raise TypeError("a loop has no template")
        return type(node)(node.name, at)


def shape_of(text: str) -> Shape | None:
    """None: there is something in it that is not taken here, or there are no constants."""
    values: list[str | int | float] = []
    starts: list[int] = []
    lengths: list[int] = []
    name: list[str] = []
    at, end = 0, len(text)
    if not text.isascii():
        return None
    while at < end:
        found = _TOKENS.match(text, at)
        if found is None:
            return None
        token, kind = found.group(), found.lastgroup
        if kind is None:
            name.append(token)
        else:
            starts.append(at)
            lengths.append(len(token))
            if kind == "text":
                values.append(token[1:-1])
                name.append('""')
            elif "." in token:
                values.append(float(token))
                name.append("0.5")
            else:
                values.append(int(token))
                name.append("0")
        at = found.end()
    return Shape("".join(name), values, starts, lengths) if values else None


def template_of(shape: Shape, tree: Node) -> Template | None:
    """tree: of the text that the shape is of. None: others of the shape may not share it."""
    seen: list[int] = []
    for node, _ in walk(tree):
        if isinstance(node, Comprehension):
            return None
        if isinstance(node, Call) and node.function not in _FUNCTIONS:
            return None
        if isinstance(node, Items) and not node.is_list:
            return None
        if isinstance(node, Constant) and not isinstance(node.value, bool):
            number = _number(node, shape)
            if number >= 0:
                value = shape.values[number]
                if _is_negative(node) and not isinstance(value, str):
                    value = -value
                if type(value) is not type(node.value) or value != node.value:
                    return None
                seen.append(number)
            elif node.value is not None:
                return None
    return Template(shape, tree) if sorted(seen) == list(range(len(shape.values))) else None


def _number(node: Constant, shape: Shape) -> int:
    """Of the constant of the text that the node stands for; -1: none."""
    number = bisect_left(shape.starts, node.at)
    if number == len(shape.starts):
        return -1
    if _is_negative(node):
        return number if shape.starts[number] > node.at else -1
    return number if shape.starts[number] == node.at else -1


def _is_negative(node: Constant) -> bool:
    """Whether a sign stands before its number, where the node is."""
    value = node.value
    return not isinstance(value, bool) and isinstance(value, (int, float)) and value < 0
