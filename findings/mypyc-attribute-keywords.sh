#!/bin/sh
# mypyc: a private attribute whose name is a plain word may be a keyword of C, and no build comes of it.
#
# Expected: Python that mypy takes, and that mypyc's own checks take, compiles; names that mean
# something in C are put out of its way, as mypyc does with those of functions.
# What happens: a member of the C struct is called by the attribute with one underscore in front. So
# `_attribute` becomes `__attribute`, which GCC has as a keyword in every mode, and so do `_const`,
# `_inline`, `_signed`, `_typeof`, `_volatile`. mypyc reports nothing; the C compiler stops with a
# syntax error in generated code, far from the class, which names neither file nor line of the source.
# Why it matters here: modules on the path of clients are compiled where a C compiler is there, and
# what they keep is what such words are for: an attribute of a client, a volatile setting, a signed
# ticket. A class that got such a member is fine in all tests that run from sources, and breaks the
# build of the wheel. Members are called otherwise there.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
command -v gcc >/dev/null || { echo "needs gcc"; exit 2; }
"${PYTHON:-python3}" -m venv "$dir/env"
"$dir/env/bin/pip" -q install mypy==2.4.1 setuptools==80.9.0
cd "$dir"
gcc --version | head -1
"$dir/env/bin/python" - <<'PY'
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

print("mypy", version("mypy"))
SOURCE = """class Reading:
    def __init__(self, value: int) -> None:
        self.{name} = value

    def doubled(self) -> int:
        return self.{name} * 2
"""
WORDS = {"_attribute", "_const", "_inline", "_signed", "_typeof", "_volatile"}
failed = set()
for name in sorted(WORDS | {"_attributes", "_reading", "attribute"}):
    module = f"of{name}"
    Path(f"{module}.py").write_text(SOURCE.format(name=name))
    checked = subprocess.run([sys.executable, "-m", "mypy", "--strict", f"{module}.py"],
                             capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    built = subprocess.run([sys.executable, "-m", "mypyc", f"{module}.py"],
                           capture_output=True, text=True)
    said = built.stdout + built.stderr
    told = next((line for line in said.splitlines() if "error:" in line), "")
    print(f"{name:<14}", "compiles" if built.returncode == 0 else told.strip())
    if built.returncode:
        failed.add(name)
sys.exit(0 if failed == WORDS else "changed: these do not compile now: " + ", ".join(sorted(failed)))
PY
