#!/bin/sh
# cel-expr-python 0.1.3: `map` and `filter` take time that grows with the square of the list.
#
# Expected: `l.map(x, x)` over four times as many items takes about four times as long, as `exists`
# does, and as in cel-go, whose `map` appends to one list.
# What happens: each item makes a new list of all that was collected so far, so four times as many
# items take about sixteen times as long: 3,000 items some seconds, where `exists` takes a few ms.
# CEL's own bound of 10,000 iterations lets it run on.
# Why it matters here: conditions are evaluated where events come in. So lists for `map` and `filter`
# have at most 300 items (control_plane/expressions/cost.py), those for `exists` 10,000.
#
# Exits with 1 when the growth is no longer that of a square.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet install cel-expr-python==0.1.3
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import time
from importlib.metadata import version

from cel_expr_python import cel

print("cel-expr-python", version("cel-expr-python"))
env = cel.NewEnv(variables={"l": cel.Type.List(cel.Type.DYN)})


def least_s(text, items):
    """The shortest of three evaluations."""
    expression, times = env.compile(text), []
    for _ in range(3):
        values = env.Activation({"l": list(range(items))})
        start = time.process_time()
        answer = expression.eval(values)
        times.append(time.process_time() - start)
        assert answer.plain_value() is True, answer
    return min(times)


growth = {}
for text in ("l.map(x, x).size() > 1", "l.filter(x, true).size() > 1", "l.exists(x, x < 0) == false"):
    few, many = least_s(text, 500), least_s(text, 2_000)
    growth[text] = many / few
    print(f"{text}: 500 items {few * 1e3:.1f} ms, 2,000 items {many * 1e3:.1f} ms, {growth[text]:.1f} times")
quadratic, linear = [list(growth.values())[n] for n in (0, 2)]
sys.exit(0 if quadratic > 9 and linear < 9 else 1)
PYTHON
