#!/bin/sh
# jsonschema-rs (Rust behind Python): an enum of whole numbers is looked up; with one text among them
# it is walked, and each number is compared exactly, as a fraction.
#
# Expected: that {"enum": [0, ..., 59, "unknown"]} takes about as long for a number as
# {"enum": [0, ..., 59]}, as it does where all values are texts: a list of allowed values is a lookup.
#
# What happens: for a list of whole numbers the second takes hundreds of times as long (some 20 us
# instead of 40 ns for one number), because the lookup is only made where all values are of one kind.
# A `const` compares in the same slow way: sixty of them in an `anyOf` take as long.
#
# Why it matters here: a schema comes from whoever produces a feed, and events are held against it
# on an event loop. Counting words and values, which is a fair measure for everything else, says that
# both schemas cost the same; so Homeport's count has steps of its own for words that compare numbers.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "jsonschema-rs==0.61.0"
"$folder/venv/bin/python" - <<'EOF'
import sys
import timeit
from importlib.metadata import version

import jsonschema_rs

NUMBERS = list(range(60))
SCHEMAS = {
    "an enum of whole numbers": {"enum": NUMBERS},
    "the same and one text": {"enum": [*NUMBERS, "unknown"]},
    "an enum of texts": {"enum": [f"v{n}" for n in NUMBERS]},
    "the same and one number": {"enum": [*(f"v{n}" for n in NUMBERS), 7]},
}
numbers, texts = [59] * 500, ["v59"] * 500
print("jsonschema-rs", version("jsonschema-rs"))
took = {}
for name, each in SCHEMAS.items():
    value = texts if "of texts" in name or "one number" in name else numbers
    check = jsonschema_rs.Draft202012Validator({"items": each}).is_valid
    assert check(value)
    best = min(timeit.repeat(lambda: check(value), number=1, repeat=9))
    took[name] = best / len(value) * 1e9
    print(f"{name:26} {took[name]:10.0f} ns a value")
slower = took["the same and one text"] / took["an enum of whole numbers"]
print(f"one text among the numbers: {slower:.0f} times as long")
sys.exit(0 if slower > 20 else 1)
EOF
