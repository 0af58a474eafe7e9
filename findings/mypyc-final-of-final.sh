#!/bin/sh
# PyPI mypy 2.4.1 (mypyc): a constant tuple that unpacks another one is not there when the compiled
# module is imported.
#
# Expected: constants of a module are set in the order in which they stand.
# What happens: `LONG: Final = (0.1, *SHORT)`, right after `SHORT: Final = (0.5, 1.0)`, ends the
# import with "value for final name "SHORT" was not set". As source it works, and mypy has nothing to
# say; `(0.1,) + SHORT` ends alike. With `SHORT` no Final, or of the type `tuple[float, ...]` by
# name, it works compiled as well.
# Why it matters here: bounds of histograms are made of one another (control_plane/histogram.py).
# They name their type for this alone.
#
# Needs a C compiler. Exits with 1 when the compiled module can be imported.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mypy==2.4.1 setuptools==84.2.1
cat > bounds.py <<'PY'
from typing import Final

SHORT: Final = (0.5, 1.0)
LONG: Final = (0.1, *SHORT)
PY
sed 's/(0.1, \*SHORT)/(0.1,) + SHORT/' bounds.py > added.py
sed 's/Final/Final[tuple[float, ...]]/; 1s/.*/from typing import Final/' bounds.py > typed.py
sed 's/SHORT: Final/SHORT/' bounds.py > plain.py
venv/bin/mypy --version
venv/bin/mypy --strict bounds.py
echo "as source: $(venv/bin/python -c 'import bounds; print(bounds.LONG)')"
PATH="$folder/venv/bin:$PATH" venv/bin/mypyc bounds.py added.py plain.py typed.py > build.log 2>&1 || { cat build.log; exit 2; }
for name in added plain typed; do
  echo "$name, compiled: $(venv/bin/python -c "import $name; print($name.LONG)" 2>&1 | tail -n 1)"
done
if found=$(venv/bin/python -c 'import bounds; print(bounds.LONG)' 2>&1); then
  echo "bounds, compiled: $found"
  exit 1
fi
echo "bounds, compiled: $(echo "$found" | tail -n 1)"
