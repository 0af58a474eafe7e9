"""Types in conditions: what a condition reads is a text, a number or a list, and is used as one.

CEL itself takes `location` for an object of whatever fields, so it would find `location.country`
to be true or false only when a client comes. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.expressions.tree import Call, Constant, Node, path_of, walk

TEXT, NUMBER, LIST, TRUTH = "a text", "a number", "a list", "true or false"
_TYPES: dict[tuple[str, ...], str] = {
    ("location", "country"): TEXT,
    ("location", "subdivision"): TEXT,
    ("location", "continent"): TEXT,
    ("location", "source"): TEXT,
    ("location", "certainty"): TEXT,
    ("location", "latitude"): NUMBER,
    ("location", "longitude"): NUMBER,
    ("location", "uncertainty_km"): NUMBER,
    ("client", "id"): TEXT,
    ("client", "groups"): LIST,
    ("client", "rings"): LIST,
}
_COMPARING = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_LOGICAL = frozenset({"_&&_", "_||_", "!_"})


def misused(tree: Node) -> tuple[int, str] | None:
    """(place, what is wrong) of the first thing that is used as what it is not; None: there is
    none."""
    return next(_misuses(tree), None)


def _misuses(tree: Node) -> Iterator[tuple[int, str]]:
    yield from _not_truth(tree)
    for node, _ in walk(tree):
        if not isinstance(node, Call):
            continue
        if node.function in _LOGICAL:
            for part in node.args:
                yield from _not_truth(part)
        elif node.function in _COMPARING and len(node.args) == 2:
            one, other = (_type(part) for part in node.args)
            if one and other and one != other:
                at = node.args[0].at if path_of(node.args[0]) else node.args[1].at
                yield at, f"{one} is compared with {other}"
            elif one == LIST and node.function not in ("_==_", "_!=_"):
                yield node.args[0].at, "a list is neither more nor less than another"


def _not_truth(node: Node) -> Iterator[tuple[int, str]]:
    path = path_of(node)
    found = _type(node)
    if path is not None and found not in ("", TRUTH):
        name = ".".join(path)
        yield node.at, f"{name} is {found}, and has to be true or false here; compare it"


def _type(node: Node) -> str:
    """Empty: it is not known."""
    if isinstance(node, Constant):
        if isinstance(node.value, bool):
            return TRUTH
        if isinstance(node.value, int | float):
            return NUMBER
        return TEXT if isinstance(node.value, str) else ""
    path = path_of(node)
    if path is None:
        return ""
    if path[:2] == ("client", "attributes") and len(path) == 3:
        return TEXT
    return _TYPES.get(path, "")
