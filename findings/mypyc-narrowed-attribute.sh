#!/bin/sh
# PyPI mypy 2.4.1 (mypyc): an attribute that was found to be None is None for the rest of the block,
# whatever a call in between has set.
#
# Expected: mypy keeps what it knows of `x.value` over a call of `x.fill()`, which is known; a
# program that asks again still gets the answer of today, as every Python does.
# What happens: compiled, the second question is answered by a cast to None, and the answer that is
# there ends in "TypeError: None object expected; got bytes". mypy --strict says nothing.
# Why it matters here: to ask, have it made, and ask again is how caches are written here
# (provisioner/placement/chooser.py). Compiled modules keep the answer in a local name in place of
# asking the attribute twice.
#
# Needs a C compiler. Exits with 1 when the compiled module gives Python's answer.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mypy==2.4.1 setuptools==84.2.1
cat > kept.py <<'PY'
class Kept:
    def __init__(self) -> None:
        self.value: bytes | None = None

    def fill(self) -> None:
        self.value = b"made"


def read(kept: Kept) -> str:
    if kept.value is None:
        kept.fill()
        if kept.value is None:
            return "empty"
    return "full"
PY
venv/bin/mypy --version
venv/bin/mypy --strict kept.py
ask='import kept; print(kept.read(kept.Kept()))'
echo "as source: $(venv/bin/python -c "$ask")"
PATH="$folder/venv/bin:$PATH" venv/bin/mypyc kept.py > build.log 2>&1 || { cat build.log; exit 2; }
if found=$(venv/bin/python -c "$ask" 2>&1); then
  echo "compiled: $found"
  exit 1
fi
echo "compiled: $(echo "$found" | tail -n 1)"
