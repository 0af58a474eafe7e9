"""Programs that only the Go module proxy has, at pinned versions, built once into a cache.

`python -m tests.support.go_programs etcd` builds what is missing of etcd and prints the paths;
several names may be given, and `etcd-3.6.16` means that version alone. It takes minutes and a Go
toolchain, so tests never build: `needs` skips them where the cache has nothing, and says why. The
cache is $XDG_CACHE_HOME/homeport (else ~/.cache/homeport), a file a version, and can be deleted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

_BUILD_LIMIT_S = 4 * 3600  # a machine may have other work


@dataclass(frozen=True, slots=True, kw_only=True)
class GoProgram:
    """One program at one version; `package` is its main package, in `module` or the same."""

    name: str
    module: str
    package: str
    version: str
    tags: str = ""
    variables: tuple[str, ...] = ()  # `package.name=value`: what its own release build would set
    staging: str = ""  # the version under which modules that it keeps in its own tree are published

    @property
    def titles(self) -> frozenset[str]:
        """What it may be asked for by: its name, which all its versions have, or with its own."""
        return frozenset({self.name, f"{self.name}-{self.version}"})

    @property
    def path(self) -> Path:
        """Where the cache keeps it, built or not."""
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "homeport" / f"{self.name}-{self.version}"


_ETCD = "go.etcd.io/etcd/server/v3"
_GHZ = "github.com/bojand/ghz"
_KUBERNETES = "k8s.io/kubernetes"
_RELEASE = "k8s.io/component-base/version"
_HELM_3_KNOWS = "helm.sh/helm/v3/pkg/chartutil"


def _kubernetes(name: str) -> GoProgram:
    return GoProgram(
        name=name,
        module=_KUBERNETES,
        package=f"{_KUBERNETES}/cmd/{name}",
        version="1.37.2",
        tags="selinux,notest,grpcnotrace",
        variables=(
            f"{_RELEASE}.gitVersion=v1.37.2",
            f"{_RELEASE}.gitMajor=1",
            f"{_RELEASE}.gitMinor=37",
        ),
        staging="0.37.2",
    )


def _helm(major: int, version: str, *variables: str) -> GoProgram:
    module = f"helm.sh/helm/v{major}"
    return GoProgram(
        name="helm",
        module=module,
        package=f"{module}/cmd/helm",
        version=version,
        variables=(f"{module}/internal/version.version=v{version}", *variables),
    )


ETCD_3_6 = GoProgram(name="etcd", module=_ETCD, package=_ETCD, version="3.6.16")
ETCD_3_7 = GoProgram(name="etcd", module=_ETCD, package=_ETCD, version="3.7.3")
GHZ = GoProgram(name="ghz", module=_GHZ, package=f"{_GHZ}/cmd/ghz", version="0.121.0")
HELM_3 = _helm(
    3, "3.22.0", f"{_HELM_3_KNOWS}.k8sVersionMajor=1", f"{_HELM_3_KNOWS}.k8sVersionMinor=37"
)
HELM_4 = _helm(4, "4.3.1")
KUBE_APISERVER = _kubernetes("kube-apiserver")
KUBE_CONTROLLER_MANAGER = _kubernetes("kube-controller-manager")
KUBE_SCHEDULER = _kubernetes("kube-scheduler")
KUBE = (KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBE_SCHEDULER)
PROGRAMS = (HELM_4, HELM_3, ETCD_3_6, ETCD_3_7, GHZ, *KUBE)


def is_built(program: GoProgram) -> bool:
    """Whether the cache has it."""
    return os.access(program.path, os.X_OK)


def needs(*programs: GoProgram, target: str) -> pytest.MarkDecorator:
    """Skips a test where the cache lacks one of them; `target` of make builds them."""
    missing = ", ".join(str(program.path) for program in programs if not is_built(program))
    return pytest.mark.skipif(
        bool(missing), reason=f"no {missing}; `make {target}` builds it, which takes minutes and Go"
    )


def build(program: GoProgram) -> None:
    """Puts the program into the cache, whole or not at all. Raises CalledProcessError.

    Through a module of ours that requires it: `go install …@version` refuses modules whose
    go.mod has replace directives, and etcd's has them."""
    program.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.path.parent, prefix=".build-") as folder:
        if program.staging:
            _require_with_staging(program, Path(folder))
        else:
            _go(folder, "mod", "init", "build")
            _go(folder, "get", f"{program.package}@v{program.version}")
        flags = " ".join(["-s", "-w", *(f"-X {variable}" for variable in program.variables)])
        _go(
            folder, "build", "-mod=mod", "-trimpath", "-tags", program.tags, "-ldflags", flags,
            "-o", "program", program.package,
        )  # fmt: skip
        (Path(folder) / "program").replace(program.path)


def _require_with_staging(program: GoProgram, folder: Path) -> None:
    """A go.mod that requires the program and all that its own one does. That one says v0.0.0 of
    modules that are folders of its repository, which the published module does not have; each is
    published by itself as well, at the `staging` version."""
    found = json.loads(
        _go(folder, "mod", "download", "-json", f"{program.module}@v{program.version}")
    )
    shutil.copyfile(found["GoMod"], folder / "go.mod")
    (folder / "go.mod").chmod(0o644)
    document = json.loads(_go(folder, "mod", "edit", "-json"))
    edits = ["-module=build", f"-require={program.module}@v{program.version}"]
    edits += [f"-dropreplace={one['Old']['Path']}" for one in document["Replace"] or ()]
    for one in document["Require"]:
        if one["Version"] == "v0.0.0":
            edits.append(f"-require={one['Path']}@v{program.staging}")
            edits.append(f"-replace={one['Path']}={one['Path']}@v{program.staging}")
    _go(folder, "mod", "edit", *edits)


def _go(folder: Path | str, *words: str) -> str:
    done = subprocess.run(
        ["go", *words], cwd=folder, timeout=_BUILD_LIMIT_S, check=True, stdout=subprocess.PIPE,
        text=True, env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"},
    )  # fmt: skip
    return done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(prog="go_programs", description=__doc__)
    names = sorted({title for program in PROGRAMS for title in program.titles})
    parser.add_argument("names", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    asked = parser.parse_args().names
    wanted = [program for program in PROGRAMS if not program.titles.isdisjoint(asked)]
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
