#!/bin/sh
# cel-expr-python 0.1.3: the entries of a map come in another order at each evaluation.
#
# Expected: one compiled expression over one activation gives the same answer each time, as a Python
# dictionary or a list: CEL leaves the order of a map's entries open, but the answers here are plain
# Python dictionaries, whose order is kept, and what is evaluated has no randomness in it.
# What happens: fifty evaluations of one expression with a map of four entries, in one process, give
# several orders; a list that `map` makes of a map's keys is another list each time, and not equal.
# Why it matters here: the same events have to give the same decisions, byte by byte, on each replica
# and at each replay. So control_plane/expressions/expression.py puts the entries in order of their
# keys, and rules should not make lists of maps.
#
# Exits with 1 when every evaluation gives one order.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet install cel-expr-python==0.1.3
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

from cel_expr_python import cel

print("cel-expr-python", version("cel-expr-python"))
env = cel.NewEnv(variables={"n": cel.Type.INT})
values = env.Activation({"n": 1})
several = True
for text in ('{"a": n, "b": 2, "c": 3, "d": 4}', '{"a": n, "b": 2, "c": 3, "d": 4}.map(key, key)'):
    expression = env.compile(text)
    found = sorted({tuple(expression.eval(values).plain_value()) for _ in range(50)})
    print(f"{text}: {len(found)} orders in 50 evaluations, such as {found[:3]}")
    several = several and len(found) > 1
sys.exit(0 if several else 1)
PYTHON
