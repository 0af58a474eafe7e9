"""Run in a container of the image, as text: what is installed there, what its bill of materials
lists, and what its user can write. Prints JSON."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

BILL = Path("/usr/share/doc/homeport/sbom.cdx.json")
KERNEL = ("/proc", "/sys", "/dev")
BUILDERS = ("pip", "setuptools", "ensurepip")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def files() -> Iterator[str]:
    for folder, folders, names in os.walk("/"):
        folders[:] = [one for one in folders if os.path.join(folder, one) not in KERNEL]
        yield folder
        yield from (os.path.join(folder, one) for one in names)


def is_writable(path: str) -> bool:
    """By its mode: a read-only root would answer for all of them."""
    if os.path.islink(path):
        return False
    found = os.stat(path)
    mask = 0o002
    if found.st_uid == os.getuid():
        mask |= 0o200
    if found.st_gid == os.getgid():
        mask |= 0o020
    return bool(found.st_mode & mask)


def wrote() -> bool:
    try:
        Path("/tmp/file").touch()
    except OSError:
        return False
    return True


def packages() -> list[list[str]]:
    """Of Debian, as dpkg says: name and version."""
    form = "${db:Status-Status} ${Package} ${Version}\\n"
    done = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={form}"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    lines = (line.split() for line in done.stdout.splitlines())
    return sorted(words[1:] for words in lines if words[0] == "installed")


def main() -> None:
    listed: dict[str, list[list[str]]] = {"deb": [], "generic": [], "": []}
    for one in json.loads(BILL.read_text())["components"]:
        kind = one.get("purl", "").removeprefix("pkg:").partition("/")[0]
        is_python = kind not in ("deb", "generic")
        name = canonical(one["name"]) if is_python else one["name"]
        listed["" if is_python else kind].append([name, one["version"]])
    distributions = [
        [canonical(one.metadata["Name"]), one.version] for one in importlib.metadata.distributions()
    ]
    found = {
        "user": [os.getuid(), os.getgid()],
        "writable": [path for path in files() if is_writable(path)],
        "wrote": wrote(),
        "builders": [one for one in BUILDERS if importlib.util.find_spec(one) is not None],
        "distributions": sorted(distributions),
        "packages": packages(),
        "listed distributions": sorted(listed[""]),
        "listed packages": sorted(listed["deb"]),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
