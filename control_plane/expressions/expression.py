"""Expression: one compiled CEL expression. Evaluating gives a value or a Fault; it never raises.

A field that an event does not have is the commonest fault, and not a failure of anybody:
`missing` tells it apart from a division by zero or a text compared with a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from cel_expr_python import cel

from control_plane.expressions.cost import Loop
from control_plane.expressions.direct import Direct, direct_of, read
from control_plane.expressions.tree import Node, Path, path_of

_BOOL = cel.Type.BOOL
_ERROR = cel.Type.ERROR


class Fault(NamedTuple):
    """Why there is no value. missing: it read a field or variable that is not there."""

    message: str
    missing: bool


class Bindings:
    """Values of variables, made by Environment.bind; to be used by many expressions."""

    __slots__ = ("_activation", "_make", "values")

    def __init__(self, make: Callable[[Mapping[str, Any]], Any], values: Mapping[str, Any]) -> None:
        self.values = values
        self._make = make
        self._activation: Any = None

    @property
    def activation(self) -> Any:
        """What CEL reads them through, made when it is first asked for."""
        if self._activation is None:
            self._activation = self._make(self.values)
        return self._activation


class Expression:
    """Made by Environment.compile. path: where it only reads one, as ("event", "key"). loops: the
    lists it loops over; one that is longer than its cost was worked out for is a Fault. units: of
    that cost.

    CEL's program takes 5 to 9 KiB. Of what can be answered without it, it is made when an event
    comes for which it cannot, and kept from then on."""

    __slots__ = (
        "__weakref__", "_compile", "_compiled", "_direct", "loops", "path", "text", "tree", "units",
    )  # fmt: skip

    def __init__(
        self,
        text: str,
        tree: Node,
        compiled: Any,
        compile_again: Callable[[str], Any],
        loops: tuple[Loop, ...] = (),
        *,
        units: int,
    ) -> None:
        """compiled: CEL's program of the text, None where it is still to be made; compile_again:
        gives it once more."""
        self.text = text
        self.units = units
        self.tree = tree
        self.path: Path | None = path_of(tree)
        self._direct: Direct[Mapping[str, Any]] | Literal[False] | None = False
        self._compile = compile_again
        self._compiled = None
        if compiled is not None:  # kept where nothing else can answer
            self._direct = direct_of(tree)
            self._compiled = compiled if self._direct is None and self.path is None else None
        self.loops = loops

    def _eval(self, bindings: Bindings) -> Any:
        """By CEL. Raises RuntimeError."""
        if self._compiled is None:
            self._compiled = self._compile(self.text)
        return self._compiled.eval(bindings.activation)

    def evaluate(self, bindings: Bindings) -> Any:
        """A plain Python value (bool, int, float, str, None, datetime, timedelta, list, dict),
        or a Fault. Maps that CEL made have their entries in the order of their keys: its own is
        another one each time (findings/cel-map-order.sh)."""
        if self.path is not None:
            found = read(self.path, bindings.values)
            if found is not None:
                return found
        if self.loops and (fault := _too_long(self.loops, bindings.values)) is not None:
            return fault
        try:
            found = self._eval(bindings)
            if found.type() == _ERROR:
                return _fault(str(found.value()))
            return _ordered(found.plain_value())
        except RuntimeError as error:  # the iteration budget, or a value outside CEL
            return _fault(str(error))

    def holds(self, bindings: Bindings) -> bool | Fault:
        """Whether it is true; a Fault also where it gives no truth value."""
        direct = self._direct
        if direct is False:  # many are never asked: rules that look at one event ask by it alone
            direct = self._direct = direct_of(self.tree)
        if direct is not None:
            said = direct(bindings.values)
            if said is not None:
                return said
        if self.loops and (fault := _too_long(self.loops, bindings.values)) is not None:
            return fault
        try:
            value = self._eval(bindings).value()
        except RuntimeError as error:
            return _fault(str(error))
        # An ERROR's value is its text, so the type is only asked where it is not a truth value.
        if value is True or value is False:
            return value
        found = self.evaluate(bindings)
        if isinstance(found, Fault):
            return found
        return Fault(f"gives {type(found).__name__}, not true or false", missing=False)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _too_long(loops: tuple[Loop, ...], values: Mapping[str, Any]) -> Fault | None:
    for path, most in loops:
        found: Any = values
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        if isinstance(found, (list, tuple, Mapping)) and len(found) > most:
            return Fault(
                f"{'.'.join(path)} has {len(found):,} items, of which this expression can loop "
                f"over {most:,}",
                missing=False,
            )
    return None


def _ordered(value: Any) -> Any:
    """The same with the entries of all maps in it in the order of their keys: false, true, numbers
    and then texts."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (isinstance(key, str), key))
        return {key: _ordered(value[key]) for key in keys}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    return value


def _fault(said: str) -> Fault:
    code, _, words = said.partition(": ")
    if code == "NOT_FOUND":
        name = words.rpartition(': "')[2].rstrip('"')
        return Fault(f"no field {name}", missing=True)
    if 'No value with name "' in said:
        name = said.split('"')[1]
        return Fault(f"no {name} here", missing=True)
    return Fault(words.removesuffix(f" [{code}]") or said, missing=False)
