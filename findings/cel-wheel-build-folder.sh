#!/bin/sh
# cel-expr-python: wheels for some versions of Python install the folder that they were built in.
#
# Expected: the wheels of one release for several versions of Python hold the same files, but for
# the extensions; all of them below cel_expr_python/, as the name and top_level.txt say.
# What happens: those of Python 3.12 and 3.13 (Linux, x86-64) unpack bazel-project/ beside the
# package as well: 823 files of the build, of abseil, protobuf, rules_python, six and their tests,
# with setup.py and conformance tests. That of 3.11 does not. pip installs them without a word, and
# records them as the distribution's own.
# Why it matters here: tests run on 3.11, the image on 3.13. What no service reads would be in it,
# and what a scanner of files finds: packaging/image/prune.py takes it out by name, and ends the
# build where something like it comes with another wheel.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/check.py" <<'PYTHON'
import collections
import pathlib
import sys
import zipfile

found = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.whl")):
    names = [one for one in zipfile.ZipFile(path).namelist() if not one.endswith("/")]
    found[path.name.split("-")[2]] = collections.Counter(one.partition("/")[0] for one in names)
    print(path.name)
    for top, files in sorted(found[path.name.split("-")[2]].items()):
        print(f"    {top}: {files} files")
foreign = {version: files["bazel-project"] for version, files in found.items()}
sys.exit(foreign != {"cp311": 0, "cp312": 823, "cp313": 823})
PYTHON
for version in 3.11 3.12 3.13; do
  "$folder/venv/bin/pip" download --quiet --no-deps --only-binary :all: --implementation cp \
    --python-version "$version" --platform manylinux_2_28_x86_64 --dest "$folder/wheels" \
    cel-expr-python==0.1.3
done
"$folder/venv/bin/python" "$folder/check.py" "$folder/wheels"
