"""What people read has no word of Python's own: values in messages are written as JSON has them
(`control_plane.printable.quoted`), never as `repr` does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.source import package_files, parsed, relative, text_of

# Nobody reads these, or whoever does writes Python. file: functions, with the reason.
ALLOWED: dict[str, dict[str, str]] = {
    "control_plane/histogram.py": {"_cumulative": "bounds of buckets, as Prometheus writes floats"},
    "control_plane/store/embedded/tables.py": {
        "_check_once": "of our own code that made the transaction"
    },
    "console/cli/views/numbers.py": {"exact": "digits of a number"},
    "data-sharing/data_sharing/rules/compiler.py": {"_shape": "hashed"},
    "data-sharing/data_sharing/rules/effects.py": dict.fromkeys(
        ("effect_id", "effect_id_of", "effect_id_prefix"), "hashed"
    ),
    "data-sharing/data_sharing/rules/event_cost.py": {"_same": "compared"},
    "data-sharing/data_sharing/rules/operand_check.py": {"_text": "compared"},
    "sdk/homeport/messages.py": {"checked_id": "a TypeError, for who writes Python"},
}
_PERCENT_R = re.compile(r"%[-#0 +]*\d*r\b")
# Without any of these in its text no module can use it; few modules are parsed for it.
_PERHAPS = re.compile(rf"!r|\brepr\b|\bascii\b|{_PERCENT_R.pattern}")


def places_of_repr(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The function around each use of repr, and its line; `__repr__` itself is for debuggers."""
    inside: list[tuple[ast.AST, str]] = [(tree, "")]
    while inside:
        node, function = inside.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        converted = isinstance(node, ast.FormattedValue) and node.conversion == ord("r")
        called = (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("repr", "ascii")
        )
        percent = (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _PERCENT_R.search(node.value)
        )
        if (converted or called or percent) and function != "__repr__":
            yield function, getattr(node, "lineno", 0)
        inside += [(child, function) for child in ast.iter_child_nodes(node)]


def found() -> dict[str, dict[str, int]]:
    """Uses by file and function, with a line of each."""
    by_file: dict[str, dict[str, int]] = {}
    for file in package_files():
        if not _PERHAPS.search(text_of(file)):
            continue
        for function, line in places_of_repr(parsed(file)):
            by_file.setdefault(relative(file), {})[function] = line
    return by_file


def test_no_value_is_shown_as_python_writes_it() -> None:
    faults = [
        f"{file}:{line}: {function}"
        for file, functions in found().items()
        for function, line in functions.items()
        if function not in ALLOWED.get(file, {})
    ]
    assert faults == [], "use control_plane.printable.quoted"


def test_what_is_allowed_is_there() -> None:
    seen = found()
    assert {file: set(functions) for file, functions in ALLOWED.items()} == {
        file: set(seen.get(file, {})) for file in ALLOWED
    }


@pytest.mark.parametrize(
    "text",
    [
        'raise ValueError(f"{x!r} is wrong")', 'log.warning("it is %r", x)', "shown = repr(x)",
        'f"{x!r:.80}"', '"%-5r" % x', "ascii(x)",
    ],
)  # fmt: skip
def test_a_slip_would_be_seen(text: str) -> None:
    assert _PERHAPS.search(text)
    assert [*places_of_repr(ast.parse(f"def f(x):\n    {text}"))] == [("f", 2)]
