"""Environment: the variables an expression may use, and the compiler of expressions over them.

The one place that knows the CEL package (PyPI `cel-expr-python`, CEL's C++ implementation). Text
that does not parse or type-check is InvalidInput with line and column. Bounded at compile time
are length, constants, regular expressions and what evaluating can cost (see `cost`); nesting (32)
and iterations per evaluation (10,000) are bounded by CEL itself, and its regular expressions are
RE2, linear in the input.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any
from weakref import WeakValueDictionary

from cel_expr_python import cel
from cel_expr_python.ext import ext_math, ext_optional, ext_strings

from control_plane.errors import InvalidInput
from control_plane.expressions.cost import BUDGET, MOST_TEXT, CostEstimate, estimate
from control_plane.expressions.expression import Bindings, Expression
from control_plane.expressions.shapes import Template, shape_of, template_of
from control_plane.expressions.tree import Call, Constant, Node, children, tree_of, walk

MOST_CHARACTERS = 4_096
MOST_NODES = 1_000
MOST_REGEX_CHARACTERS = 256
MOST_NESTED_LOOPS = 2
MOST_SHAPES = 200  # of expressions whose trees are kept
_SAID = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]*)")
_MIXED = re.compile(r"applied to '\((?:int, double|double, int)\)'")


class ValueType(Enum):
    """What a variable or a result is. ANY is checked when evaluated only."""

    ANY = "dyn"
    BOOL = "bool"
    STRING = "string"
    INT = "int"
    DOUBLE = "double"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    OBJECT = "map"  # with text keys
    LIST = "list"


_TYPES: dict[ValueType, Any] = {
    ValueType.ANY: cel.Type.DYN,
    ValueType.BOOL: cel.Type.BOOL,
    ValueType.STRING: cel.Type.STRING,
    ValueType.INT: cel.Type.INT,
    ValueType.DOUBLE: cel.Type.DOUBLE,
    ValueType.TIMESTAMP: cel.Type.TIMESTAMP,
    ValueType.DURATION: cel.Type.DURATION,
    ValueType.OBJECT: cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    ValueType.LIST: cel.Type.List(cel.Type.DYN),
}


class Environment:
    """Variables by name; immutable, and shared by every expression over the same variables.
    optionals: whether `a[?"b"].orValue("")` may be written."""

    def __init__(self, variables: Mapping[str, ValueType], *, optionals: bool = False) -> None:
        self.variables = dict(variables)
        extensions = [ext_math.ExtMath(), ext_strings.ExtStrings()]
        self._env = cel.NewEnv(
            variables={name: _TYPES[kind] for name, kind in variables.items()},
            extensions=[*extensions, ext_optional.ExtOptional()] if optionals else extensions,
        )
        self._known: WeakValueDictionary[tuple[str, tuple[ValueType, ...]], Expression]
        self._known = WeakValueDictionary()
        self._shapes: dict[str, tuple[Template, Any]] = {}  # with the type of what it gives

    def compile(self, text: str, *, field: str, returns: tuple[ValueType, ...] = ()) -> Expression:
        """`returns`: what the result may be; a result known only when evaluated always passes.
        An expression that somebody has already is the same one. Raises InvalidInput naming
        `field`."""
        known = self._known.get((text, returns))
        if known is not None:
            return known
        if not text.strip():
            raise InvalidInput(field, f"{field}: the expression is empty")
        if len(text) > MOST_CHARACTERS:
            raise InvalidInput(
                field,
                f"{field}: the expression has {len(text)} characters; at most {MOST_CHARACTERS}",
            )
        compiled, tree, actual = self._checked(text, field)
        _check_size(tree, text, field)
        cost = _check_cost(tree, text, field)
        allowed = [_TYPES[kind] for kind in returns]
        if allowed and actual != cel.Type.DYN and actual not in allowed:
            wanted = " or ".join(kind.value for kind in returns)
            raise InvalidInput(
                field, f"{field}: must give {wanted}, and gives {actual.name().lower()}: {text}"
            )
        made = Expression(text, tree, compiled, self._env.compile, cost.loops, units=cost.units)
        self._known[text, returns] = made
        return made

    def _checked(self, text: str, field: str) -> tuple[Any, Node, Any]:
        """CEL's program, its tree and the type of what it gives; no program where an expression
        that differs in its constants alone was checked before."""
        shape = shape_of(text)
        known = None if shape is None else self._shapes.get(shape.name)
        if shape is not None and known is not None:
            return None, known[0].filled(shape), known[1]
        try:
            compiled = self._env.compile(text)
            tree = tree_of(compiled.serialize())
        except (RuntimeError, ValueError) as error:
            raise InvalidInput(field, f"{field}: {_complaint(str(error))}") from None
        gives = compiled.return_type()
        template = None if shape is None else template_of(shape, tree)
        if shape is not None and template is not None:
            if len(self._shapes) >= MOST_SHAPES:
                del self._shapes[next(iter(self._shapes))]
            self._shapes[shape.name] = template, gives
        return compiled, tree, gives

    def bind(self, values: Mapping[str, Any]) -> Bindings:
        """Values of the variables for evaluating. They are read lazily and must not be changed
        afterwards. A variable left out is an error when it is read, not before."""
        return Bindings(self._env.Activation, values)


def place(text: str, at: int) -> str:
    """Where in a text: "line 1, column 4"."""
    before = text[:at]
    return f"line {before.count(chr(10)) + 1}, column {at - before.rfind(chr(10))}"


def _complaint(said: str) -> str:
    found = _SAID.search(said)
    if found is None or found[1].startswith("-"):
        deep = "recursion" in said or "depth" in said
        return "the expression is nested too deeply" if deep else said.splitlines()[0]
    # ANTLR lists every token that could have stood there; the first words say enough.
    complaint = re.sub(r" expecting \{.*\}", "", found[3])
    if _MIXED.search(complaint):
        complaint += "; int and double do not mix: write 1.0 for 1, or double(…)"
    return f"line {found[1]}, column {found[2]}: {complaint}"


def _check_size(tree: Node, text: str, field: str) -> None:
    nodes = 0
    for node, bound in walk(tree):
        nodes += 1
        # Each macro binds its variable and an accumulator, which all share one name.
        if len(bound) > MOST_NESTED_LOOPS + 1:
            raise InvalidInput(
                field, f"{field}: {place(text, node.at)}: loops nest deeper than two levels"
            )
        if isinstance(node, Call) and node.function == "matches":
            _check_regex(node, text, field)
    if nodes > MOST_NODES:
        raise InvalidInput(
            field, f"{field}: the expression has {nodes} parts; at most {MOST_NODES}"
        )


def _check_cost(tree: Node, text: str, field: str) -> CostEstimate:
    found = estimate(tree)
    if found.text > MOST_TEXT:
        raise InvalidInput(
            field,
            f"{field}: {place(text, found.text_at)}: this can make a text of {found.text:,} "
            f"characters; at most {MOST_TEXT:,}",
        )
    if found.units > BUDGET:
        raise InvalidInput(
            field,
            f"{field}: {place(text, found.costliest)}: the expression can cost {found.units:,} "
            f"steps, of which {BUDGET:,} are allowed, and most of them here; loop over less, or do "
            "less in the loop",
        )
    return found


def _check_regex(call: Call, text: str, field: str) -> None:
    pattern = children(call)[-1]
    where = f"{field}: {place(text, call.at)}"
    if not isinstance(pattern, Constant) or not isinstance(pattern.value, str):
        raise InvalidInput(field, f"{where}: the pattern of `matches` must be a constant text")
    if len(pattern.value) > MOST_REGEX_CHARACTERS:
        raise InvalidInput(
            field, f"{where}: the pattern is longer than {MOST_REGEX_CHARACTERS} characters"
        )
    tried = _NOTHING.compile("''.matches(pattern)").eval(data={"pattern": pattern.value})
    if tried.type() == cel.Type.ERROR:
        raise InvalidInput(field, f"{where}: {str(tried.value()).partition(': ')[2]}")


_NOTHING = cel.NewEnv(variables={"pattern": cel.Type.STRING})
