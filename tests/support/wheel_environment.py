"""Virtual environments that hold Homeport's wheels and nothing of its source tree.

Third-party packages are not downloaded a second time: those that a wheel declares, and what
they need themselves, are linked file by file from the environment that runs the tests. What
is not declared is not there.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable, Sequence
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = ("homeport", "homeport-server")


class WheelEnvironment:
    """A new virtual environment in `folder` with these wheels."""

    def __init__(self, folder: Path, wheels: Sequence[Path]) -> None:
        venv.create(folder, with_pip=False)
        self.folder = folder
        self.bin = folder / "bin"
        self.python = self.bin / "python"
        (self.site_packages,) = folder.glob("lib/python3*/site-packages")
        wanted = (one for wheel in wheels for one in _requirements(wheel))
        for distribution in _closure(wanted):
            _link(distribution, self.site_packages)
        subprocess.run(
            [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--quiet",
             "--no-deps", "--no-index", *map(str, wheels)],
            check=True, timeout=120,
        )  # fmt: skip

    def run(self, script: str, *, cwd: Path) -> subprocess.CompletedProcess[str]:
        """A script in this environment's Python, in a folder outside of the source tree."""
        return subprocess.run(
            [str(self.python), "-c", script],
            cwd=cwd, env=environment(XDG_CACHE_HOME=str(cwd)), capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip


def environment(**more: str) -> dict[str, str]:
    """Variables for a program of such an environment: none that leads to the source tree."""
    own = ("HOMEPORT_", "PYTHON", "VIRTUAL_ENV")
    return {k: v for k, v in os.environ.items() if not k.startswith(own)} | more


def _requirements(wheel: Path) -> list[Requirement]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    return [Requirement(one) for one in metadata.get_all("Requires-Dist", [])]


def _closure(wanted: Iterable[Requirement]) -> list[importlib.metadata.Distribution]:
    """The third-party distributions that are wanted, and what they want themselves."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [(one, "") for one in wanted]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name in OURS:
            continue
        known = name in found
        distribution = found.setdefault(name, importlib.metadata.distribution(name))
        assert requirement.specifier.contains(distribution.version, prereleases=True), requirement
        for more in requirement.extras if known else ("", *requirement.extras):
            waiting += [(Requirement(one), more) for one in distribution.requires or ()]
    return list(found.values())


def _link(distribution: importlib.metadata.Distribution, into: Path) -> None:
    for file in distribution.files or ():
        if ".." in file.parts:
            continue  # a script or a manual page
        place = into / file
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.symlink_to(Path(str(distribution.locate_file(file))))
