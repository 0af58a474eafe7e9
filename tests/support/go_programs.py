"""Programs that only the Go module proxy has, at pinned versions, built once into a cache.

`python -m tests.support.go_programs etcd` builds what is missing of etcd and prints the paths;
`ghz` does so for ghz. That takes minutes and a Go toolchain, so tests never build: `program`
gives them what the cache has, and says why where it has nothing. The cache is
$XDG_CACHE_HOME/homeport (else ~/.cache/homeport), a file a version, and can be deleted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

_BUILD_LIMIT_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class GoProgram:
    """One program at one version; `package` is its main package, in `module` or the same."""

    name: str
    module: str
    package: str
    version: str

    @property
    def path(self) -> Path:
        """Where the cache keeps it, built or not."""
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "homeport" / f"{self.name}-{self.version}"


_ETCD = "go.etcd.io/etcd/server/v3"
_GHZ = "github.com/bojand/ghz"
ETCD_3_6 = GoProgram(name="etcd", module=_ETCD, package=_ETCD, version="3.6.16")
ETCD_3_7 = GoProgram(name="etcd", module=_ETCD, package=_ETCD, version="3.7.3")
GHZ = GoProgram(name="ghz", module=_GHZ, package=f"{_GHZ}/cmd/ghz", version="0.121.0")
PROGRAMS = (ETCD_3_6, ETCD_3_7, GHZ)


def is_built(program: GoProgram) -> bool:
    """Whether the cache has it."""
    return os.access(program.path, os.X_OK)


def needs(program: GoProgram, target: str) -> pytest.MarkDecorator:
    """Skips a test where the cache does not have the program; `target` of make builds it."""
    return pytest.mark.skipif(
        not is_built(program),
        reason=f"no {program.path}; `make {target}` builds it, which takes minutes and Go",
    )


def build(program: GoProgram) -> None:
    """Puts the program into the cache, whole or not at all. Raises CalledProcessError.

    Through a module of ours that requires it: `go install …@version` refuses modules whose
    go.mod has replace directives, and etcd's has them."""
    program.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.path.parent, prefix=".build-") as folder:
        for words in (
            ["mod", "init", "build"],
            ["get", f"{program.module}@v{program.version}"],
            ["build", "-trimpath", "-o", "program", program.package],
        ):
            subprocess.run(["go", *words], cwd=folder, timeout=_BUILD_LIMIT_S, check=True)
        (Path(folder) / "program").replace(program.path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="go_programs", description=__doc__)
    parser.add_argument("name", choices=sorted({program.name for program in PROGRAMS}))
    wanted = [p for p in PROGRAMS if p.name == parser.parse_args().name]
    missing = [program for program in wanted if not is_built(program)]
    if missing and shutil.which("go") is None:
        print("building needs Go (https://go.dev/dl); there is none on the PATH", file=sys.stderr)
        return 1
    for program in missing:
        print(f"building {program.path} (once; minutes)", file=sys.stderr, flush=True)
        try:
            build(program)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"{program.name} {program.version} was not built: {error}", file=sys.stderr)
            return 1
    for program in wanted:
        print(program.path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
