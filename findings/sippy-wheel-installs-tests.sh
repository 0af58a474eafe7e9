#!/bin/sh
# PyPI sippy 2.5.0: its wheel installs a package `tests` at the top, which is found before a folder
# of that name in the project that depends on it.
#
# Expected: a wheel installs what it is called, and `python -m tests.x` in a project runs the
# project's, for its folder comes first on sys.path.
# What happens: site-packages/tests has an __init__.py. A folder without one is a namespace package,
# and a regular package anywhere on sys.path goes before it, however late it comes (PEP 420). So the
# project's own modules are not found from the day on which this is installed.
# Why it matters here: tests are run as modules. tests/__init__.py is there for this alone.
#
# Exits with 1 when the project's module is found with it installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir -p project/tests
echo 'print("the project'"'"'s own")' > project/tests/ours.py
python3 -m venv venv
cd project
echo "without: $(../venv/bin/python -m tests.ours)"
../venv/bin/pip install --quiet --disable-pip-version-check sippy==2.5.0
../venv/bin/python -c 'from importlib.metadata import version; print("sippy", version("sippy"))'
if found=$(../venv/bin/python -m tests.ours 2>&1); then
  echo "with it: $found"
  exit 1
fi
echo "with it: $(echo "$found" | tail -n 1)"
: > tests/__init__.py
echo "with it, and tests/__init__.py: $(../venv/bin/python -m tests.ours)"
