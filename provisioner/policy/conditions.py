"""Conditions: the CEL of a rule's `when`, checked against what it may read. Pure.

location {country, subdivision, continent, latitude, longitude, uncertainty_km, source, certainty},
client {id, groups, rings, attributes} and now. Places are those of the location's cell: to a tenth
of a degree, and to a kilometre of uncertainty, which is what a client's record keeps of it. So
whoever moves a client later answers as whoever placed it. Texts that are not known are empty; a
position that is not known is absent, as is an attribute that a client does not have, and a
condition that needs it cannot be decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from control_plane.errors import InvalidInput
from control_plane.expressions.environment import Environment, ValueType, place
from control_plane.expressions.expression import Expression
from control_plane.expressions.tree import (
    Call,
    Constant,
    Node,
    Select,
    path_of,
    paths_read,
    walk,
)
from control_plane.printable import quoted
from provisioner.geo.location import Location
from provisioner.policy.certainty import Certainty
from provisioner.policy.condition_types import misused

FIELDS: Mapping[str, tuple[str, ...]] = {
    "location": (
        "country", "subdivision", "continent", "latitude", "longitude", "uncertainty_km",
        "source", "certainty",
    ),
    "client": ("id", "groups", "rings", "attributes"),
    "now": (),
}  # fmt: skip
ATTRIBUTES = ("client", "attributes")  # by name
_AREA = frozenset({"country", "continent"})
_CELL = frozenset({"latitude", "longitude", "uncertainty_km"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Condition:
    """What it reads decides how often it is answered: for each country, each cell, each location
    or each client. groups, attributes: a client has to be in one of these groups, or to have one of
    these attributes, for it to hold; both empty: whichever."""

    expression: Expression
    reads_cell: bool  # more of the location than country and continent
    reads_source: bool  # what a cell does not say: the source, and by it how far it is trusted
    reads_subdivision: bool
    reads_client: bool
    reads_now: bool
    groups: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()

    @property
    def for_each_client(self) -> bool:
        """Whether a location is not enough to decide it."""
        return self.reads_client or self.reads_now


@cache
def environment() -> Environment:
    """The variables that a condition may read."""
    return Environment(
        {
            "location": ValueType.OBJECT,
            "client": ValueType.OBJECT,
            "now": ValueType.TIMESTAMP,
        },
        optionals=True,
    )


def compile_condition(
    text: str, *, field: str, groups: Sequence[str], rings: Sequence[str]
) -> Condition:
    """Raises InvalidInput that names `field`, the place in the text, and the nearest known name."""
    expression = environment().compile(text, field=field, returns=(ValueType.BOOL,))
    read: set[tuple[str, str]] = set()
    for path, _, at in paths_read(expression.tree):
        where = f"{field}: {place(text, at)}"
        if path[0] == "now":
            read.add(("now", ""))
            continue
        if path[:2] == ATTRIBUTES and len(path) <= 3:
            read.add(ATTRIBUTES)
            continue
        if len(path) != 2 or path[1] not in FIELDS[path[0]]:
            raise InvalidInput(field, f"{where}: {_unknown(path)}")
        read.add((path[0], path[1]))
    wrong = misused(expression.tree)
    if wrong is not None:
        raise InvalidInput(field, f"{field}: {place(text, wrong[0])}: {wrong[1]}")
    _check_names(expression.tree, text, field, {"groups": groups, "rings": rings})
    needed = _needed(expression.tree)
    of_location = {name for variable, name in read if variable == "location"}
    return Condition(
        expression=expression,
        reads_cell=not of_location <= _AREA,
        reads_source=bool(of_location & {"source"}),
        reads_subdivision="subdivision" in of_location,
        reads_client=any(variable == "client" for variable, _ in read),
        reads_now=("now", "") in read,
        groups=frozenset(name for kind, name in needed if kind == "groups"),
        attributes=frozenset(name for kind, name in needed if kind == "attributes"),
    )


def location_values(location: Location, certainty: Certainty) -> dict[str, Any]:
    """What conditions read of a location."""
    values: dict[str, Any] = {
        "country": location.country,
        "subdivision": location.subdivision,
        "continent": location.continent,
        "source": location.source.value,
        "certainty": certainty.value,
        "uncertainty_km": float(round(location.uncertainty_km)),
    }
    if location.latitude is not None and location.longitude is not None:
        values["latitude"] = round(location.latitude, 1)
        values["longitude"] = round(location.longitude, 1)
    return values


def _unknown(path: Sequence[str]) -> str:
    name, known = path[0], FIELDS[path[0]]
    if len(path) == 1:
        return f"{name} is an object; read one of {', '.join(known)}"
    if path[:2] == ATTRIBUTES:
        return f"{'.'.join(path[:3])} is a text, and has no field {quoted(path[3])}"
    if path[1] in known:
        return f"{name}.{path[1]} has no field {quoted(path[2])}"
    return f"there is no {name}.{path[1]}; {nearest(path[1], known)}"


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that was most likely meant, or all of them, as the end of a sentence."""
    close = get_close_matches(name[:100], known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known)[:20])}"


def _check_names(tree: Node, text: str, field: str, known: Mapping[str, Sequence[str]]) -> None:
    """Groups and rings that a condition looks for have to exist."""
    for node, _ in walk(tree):
        asked = _membership(node)
        if asked is None:
            continue
        kind, name, at = asked
        if kind in known and name not in known[kind]:
            one = kind.removesuffix("s")
            hint = nearest(name, known[kind]) if known[kind] else f"the policy has no {kind}"
            where = f"{field}: {place(text, at)}"
            raise InvalidInput(field, f"{where}: there is no {one} {quoted(name)}; {hint}")


def _membership(node: Node) -> tuple[str, str, int] | None:
    """(groups, rings or attributes, name, place) of `"name" in client.groups`."""
    if not (isinstance(node, Call) and node.function == "@in" and len(node.args) == 2):
        return None
    path, left = path_of(node.args[1]), node.args[0]
    if path is None or len(path) != 2 or path[0] != "client" or path[1] == "id":
        return None
    if not isinstance(left, Constant) or not isinstance(left.value, str):
        return None
    return path[1], left.value, left.at


def _needed(tree: Node) -> frozenset[tuple[str, str]]:
    """(groups or attributes, name): without one of these it cannot hold; empty: not known."""
    asked = _membership(tree)
    if asked is not None and asked[0] != "rings":
        return frozenset({asked[:2]})
    if isinstance(tree, Select) and tree.test_only and path_of(tree.operand) == ATTRIBUTES:
        return frozenset({("attributes", tree.field)})
    if isinstance(tree, Call) and tree.function == "_&&_":
        return next((found for part in tree.args if (found := _needed(part))), frozenset())
    if isinstance(tree, Call) and tree.function == "_||_":
        parts = [_needed(part) for part in tree.args]
        return frozenset().union(*parts) if all(parts) else frozenset()
    return frozenset()
