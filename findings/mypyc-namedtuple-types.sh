#!/bin/sh
# PyPI mypy 2.4.1 (mypyc) with msgspec 0.22.0: a NamedTuple that is compiled forgets what its fields
# are, and a Struct that holds one cannot read what it has written itself.
#
# Expected: a compiled class has the annotations that it has as source, as mypyc gives them to
# dataclasses; libraries that read them go on working.
# What happens: `X | None` becomes the class `type`, and `list[str]` becomes `list`. Writing goes by
# the values and is right. Reading goes by the annotations: "Expected `type`, got `list`".
# Why it matters here: records of assignments are Structs that hold such tuples. They live in modules
# that are not compiled (pyproject.toml says which are), and tests/packaging/test_compiled.py fails
# where a compiled Struct would lose the types of its fields.
#
# Needs a C compiler. Exits with 1 when the compiled class reads its record.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mypy==2.4.1 setuptools==84.2.1 msgspec==0.22.0
cat > kept.py <<'PY'
from typing import NamedTuple


class Place(NamedTuple):
    country: str


class Decided(NamedTuple):
    place: Place | None
    rules: list[str]
PY
cat > read.py <<'PY'
import msgspec

from kept import Decided, Place


class Record(msgspec.Struct):
    decided: Decided


print("  fields:", Decided.__annotations__)
written = msgspec.json.encode(Record(Decided(Place("IE"), ["near"])))
print("  written:", written.decode())
try:
    print("  read:", msgspec.json.decode(written, type=Record))
except msgspec.ValidationError as error:
    print("  refused:", error)
PY
venv/bin/mypy --version
echo "as source:"; venv/bin/python read.py
PATH="$folder/venv/bin:$PATH" venv/bin/mypyc kept.py > build.log 2>&1 || { cat build.log; exit 2; }
echo "compiled:"; venv/bin/python read.py | tee compiled.txt
grep -q refused compiled.txt
