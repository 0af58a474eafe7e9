"""What is wrong with a command line, in our words: the parser's own, without what is of Python.

The parser writes a user's words as Python's repr does, and hands on what pydantic says of values.
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any

from control_plane.printable import quoted

# Text as Python writes it: between quotes of one kind, with backslashes before what is escaped.
_LITERAL = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.S)
# Messages in which whole words stand so; in others a user's words stand as they are.
_QUOTING = re.compile(
    r"(?:No such command|Option|Argument|Value|Could not open file|Directory|File|Path) ['\"]"
    r"|['\"].*['\"] is not one of ['\"]|['\"].*['\"] does not match",
    re.S,
)
_BEFORE_OURS = ("Value error, ", "Assertion failed, ")
# pydantic's names of bounds, and what is said of a value beyond one.
_BEYOND = {"ge": "less than", "gt": "not more than", "le": "more than", "lt": "not less than"}
_EXTRA = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)\Z", re.S)
_BOUNDS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number")


def reword(error: Any) -> None:
    """Changes the message of a usage error of the parser, where it has one."""
    message = getattr(error, "message", None)
    if isinstance(message, str):
        error.message = _of_a_number(error.__cause__) or reworded(message)


def reworded(message: str) -> str:
    """The message without Python's and pydantic's manners.

    >>> reworded("Value error, 'bad' is not one of 'table', 'json'.")
    '"bad" is not one of "table", "json".'
    """
    for prefix in _BEFORE_OURS:
        message = message.removeprefix(prefix)
    if extra := _EXTRA.match(message):
        return f"not expected here: {extra[1]}"
    return _LITERAL.sub(_as_json, message) if _QUOTING.match(message) else message


def _of_a_number(cause: Any) -> str:
    """What to say of a value that is no number, whatever bound it was held against; empty: it is
    one, or none was asked for. cause: pydantic's error, if there was one."""
    errors = getattr(cause, "errors", None)
    if errors is None:
        return ""
    problem = errors()[0]
    kind, given = problem["type"], problem["input"]
    if kind == "int_parsing" or kind == "int_from_float":
        return f"{quoted(given)} is no whole number"
    if kind == "float_parsing" or (kind in _BOUNDS and _is_nan(given)):
        return f"{quoted(str(given))} is no number"
    for bound, words in _BEYOND.items():
        if bound in problem.get("ctx", {}):
            return f"{given} is {words} {problem['ctx'][bound]:,}"
    return ""


def _is_nan(given: object) -> bool:
    try:
        return math.isnan(float(given))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def _as_json(found: re.Match[str]) -> str:
    try:
        return quoted(ast.literal_eval(found[0]))
    except (ValueError, SyntaxError):
        return found[0]
