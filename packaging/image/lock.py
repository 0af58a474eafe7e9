"""The locks of the image: which distributions are installed in it, and which build it, each at one
version and with the hashes of its files.

`python packaging/image/lock.py` writes them with uv (the extra `image`), from what pyproject.toml
and sdk/pyproject.toml need and at the versions of constraints.txt, for every version of Python and
processor. `--check` asks nobody: it fails where a lock holds other distributions than are
needed by what is installed here, another version than constraints.txt, or one without a hash.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
LIMIT_S = 600
PLATFORM = "sys_platform == 'linux'"  # images have no other
OURS = {"homeport", "homeport-server"}  # built in the image, from this repository
_HEADER = """\
# {what}
# Written by packaging/image/lock.py; the versions are those of constraints.txt.
"""
_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """One file of pinned distributions. extras: of homeport-server, whose needs it holds; plain:
    whether what homeport-server needs without any of them is in it as well."""

    file: Path
    what: str
    extras: tuple[str, ...]
    plain: bool

    def needed(self) -> list[Requirement]:
        """What pyproject.toml and sdk/pyproject.toml say, without what is ours."""
        server, sdk = (
            tomllib.loads((ROOT / name).read_text())
            for name in ("pyproject.toml", "sdk/pyproject.toml")
        )
        texts = [
            text
            for extra in self.extras
            for text in server["project"]["optional-dependencies"][extra]
        ]
        if self.plain:
            texts += [*server["project"]["dependencies"], *sdk["project"]["dependencies"]]
        else:
            texts += server["build-system"]["requires"] + sdk["build-system"]["requires"]
        found = {text: Requirement(text) for text in sorted(set(texts))}
        return [one for one in found.values() if canonicalize_name(one.name) not in OURS]


LOCKS = (
    Lock(
        file=FOLDER / "requirements.lock",
        what="What is installed in the image, besides Homeport itself.",
        extras=("nats", "sip", "tracing"),
        plain=True,
    ),
    Lock(
        file=FOLDER / "build.lock",
        what="What builds Homeport in the image and writes its bill of materials; left out of it.",
        extras=("sbom",),
        plain=False,
    ),
)


def pinned(text: str) -> dict[str, str]:
    """Version of each distribution, by its canonical name."""
    return {canonicalize_name(name): version for name, version in _ENTRY.findall(text)}


def unhashed(text: str) -> list[str]:
    """Distributions of a lock without a SHA-256 hash."""
    entries = re.split(r"\n(?=\S)", text)
    return [
        found[1]
        for entry in entries
        if (found := _ENTRY.match(entry)) and not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry)
    ]


def closure(roots: Iterable[Requirement], versions: Mapping[str, str]) -> set[str]:
    """Canonical names of all that is needed here, as far as it is installed here. versions: stop
    at what these do not name. What only other platforms need is not in it."""
    environment = {name: str(value) for name, value in default_environment().items()}
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(one, "") for one in roots]
    while waiting:
        one, extra = waiting.pop()
        name = canonicalize_name(one.name)
        if one.marker is not None and not one.marker.evaluate({**environment, "extra": extra}):
            continue
        found.add(name)
        for wanted in ("", *sorted(one.extras)):
            if (name, wanted) in seen or name not in versions:
                continue
            seen.add((name, wanted))
            try:
                texts = requires(name) or []
            except PackageNotFoundError:
                continue
            waiting += [(Requirement(text), wanted) for text in texts]
    return found


def slips(lock: Lock, text: str, constraints: str) -> list[str]:
    """What is wrong with the text of a lock; empty: nothing."""
    held, allowed = pinned(text), pinned(constraints)
    said = [f"{name} has no hash" for name in unhashed(text)]
    said += [
        f"{name} is {version}, and {allowed.get(name, 'missing')} in constraints.txt"
        for name, version in sorted(held.items())
        if allowed.get(name) != version
    ]
    needed = closure(lock.needed(), allowed)
    said += [f"{name} is needed and not in it" for name in sorted(needed - held.keys())]
    for one in lock.needed():
        version = held.get(canonicalize_name(one.name))
        if version is not None and not one.specifier.contains(version, prereleases=True):
            said.append(f"{one.name} {version} is not {one.specifier}")
    return said


def written(lock: Lock) -> str:
    """The lock anew, with uv. Raises CalledProcessError where it finds no solution."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "asked.txt"
        asked.write_text("".join(f"{one}\n" for one in lock.needed()))
        # uv takes this from the project it stands in alone, and there is no flag for it.
        (Path(folder) / "pyproject.toml").write_text(f"[tool.uv]\nenvironments = [{PLATFORM!r}]\n")
        done = subprocess.run(
            [
                sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal",
                "--python-version=3.11", "--generate-hashes", "--no-header", "--no-annotate",
                f"--constraint={CONSTRAINTS}", str(asked),
            ],
            cwd=folder, check=True, capture_output=True, text=True, timeout=LIMIT_S,
        )  # fmt: skip
    return _HEADER.format(what=lock.what) + done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only see whether they are right")
    check = parser.parse_args().check
    failed = False
    for lock in LOCKS:
        name = lock.file.relative_to(ROOT)
        if not check:
            try:
                lock.file.write_text(written(lock))
            except subprocess.CalledProcessError as error:
                print(f"{name}: uv says: {error.stderr.strip()}", file=sys.stderr)
                return 1
        text = lock.file.read_text() if lock.file.exists() else ""
        for slip in slips(lock, text, CONSTRAINTS.read_text()):
            print(f"{name}: {slip}", file=sys.stderr)
            failed = True
    if failed:
        print("`make image-lock` writes the locks of the image anew", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
