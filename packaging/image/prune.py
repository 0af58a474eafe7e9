"""Takes out of the image's environment what distributions bring along and no service reads.

`python prune.py SITE_PACKAGES` runs while the image is built, before anything is compiled. What
goes is named below, by distribution. It has to be of that distribution by its own record, and the
record says afterwards what is there. What is no module and no part of one is named as well, or the
build ends: a distribution that unpacks its build folder beside its package does not go unseen.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# Patterns of paths as records have them; a star takes slashes too.
# For type checkers and compilers:
EVERYWHERE = ("*.pyi", "*.pxd", "*.pxi", "*.pyx", "*.h", "*.hpp", "*.a")
UNNEEDED: Mapping[str, Sequence[str]] = {
    # The folder it was built in, for some versions of Python: tests and build rules of others. Its
    # own extensions but those that `control_plane.expressions.environment` lets documents use.
    "cel_expr_python": (
        "bazel-project/*",
        "cel_expr_python/ext/ext_bindings.*",
        "cel_expr_python/ext/ext_encoders.*",
        "cel_expr_python/ext/ext_proto.*",
    ),
    "numpy": ("numpy/tests/*", "numpy/*/tests/*", "numpy/_core/lib/*", "numpy/_core/include/*"),
    # Names of places, carriers and zones of numbers: identifiers are read and checked without.
    "phonenumbers": (
        "phonenumbers/geodata/*",
        "phonenumbers/carrierdata/*",
        "phonenumbers/tzdata/*",
    ),
    "certifi": ("certifi/tests/*",),
}
_PART = re.compile(r"[A-Za-z_]\w*(\.pth|\.libs|(\.[\w-]+)?\.so|\.py)?|[\w.]+-[\w.+]+\.dist-info")

Row = list[str]


def named(distribution: str, path: str) -> bool:
    """Whether a file of a distribution goes. path: as its record has it."""
    patterns = (*EVERYWHERE, *UNNEEDED.get(distribution, ()))
    return any(fnmatch.fnmatchcase(path, one) for one in patterns)


def records(site_packages: Path) -> Iterator[tuple[str, Path, list[Row]]]:
    """(distribution, its record, what that says) of each that is installed. The name is that of
    its folder, in lower case."""
    for path in sorted(site_packages.glob("*.dist-info/RECORD")):
        name = path.parent.name.partition("-")[0].lower()
        with path.open(newline="") as file:
            yield name, path, list(csv.reader(file))


def prune(site_packages: Path) -> int:
    """Takes it out, and gives how many bytes that were. Raises SystemExit where something is left
    that is no module, FileNotFoundError where a record is not true."""
    freed = 0
    for name, record, rows in records(site_packages):
        gone = [row for row in rows if named(name, row[0])]
        if not gone:
            continue
        for path in (site_packages / row[0] for row in gone):
            freed += path.stat().st_size
            path.unlink()
        _remove_empty(site_packages, [site_packages / row[0] for row in gone])
        with record.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(row for row in rows if row not in gone)
    if left := strangers(site_packages):
        raise SystemExit(
            f"{', '.join(left)}: no module, and packaging/image/prune.py does not name it;"
            " see which distribution brings it, and name it there"
        )
    return freed


def strangers(site_packages: Path) -> list[str]:
    """What lies beside modules and is none: it can neither be imported nor read by name."""
    return sorted(one.name for one in site_packages.iterdir() if _PART.fullmatch(one.name) is None)


def _remove_empty(site_packages: Path, gone: Sequence[Path]) -> None:
    folders = {
        folder for path in gone for folder in path.parents if site_packages in folder.parents
    }
    for folder in sorted(folders, key=lambda one: len(one.parts), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site_packages", type=Path)
    freed = prune(parser.parse_args().site_packages)
    print(f"taken out: {freed / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
