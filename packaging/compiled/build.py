"""`make compiled` and `make pure`: the hot modules as extensions beside their sources, or not.

Which modules, pyproject.toml says ([tool.homeport.compiled]). mypyc, which comes with mypy, makes C
of them, and the machine's C compiler one library with all of it and a small extension a module;
Python prefers an extension to the source beside it, so nothing else changes. Sources stay what
runs where there are no extensions. An extension does not follow its source: what was built is
remembered by digests, and `stale` tells.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import sys
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "build" / "compiled"  # generated C, objects, and what was built of what
GROUP = "homeport_server"  # of the library that the extensions share: <GROUP>__mypyc
ROOTS = {"data_sharing": "data-sharing"}  # packages that are not at the top
TOPS = ("control_plane", "provisioner", "simulation", "data-sharing/data_sharing")  # where they go
SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX") or ".so")


class CannotCompile(Exception):
    """This machine, or this environment, has not what it takes; the words say what to do."""


def modules(root: Path = ROOT) -> tuple[str, ...]:
    """Those that are compiled, by their dotted names."""
    told = tomllib.loads((root / "pyproject.toml").read_text())
    return tuple(told["tool"]["homeport"]["compiled"]["modules"])


def source_of(module: str) -> Path:
    """Where its source is, from the root of the repository."""
    package, _, _ = module.partition(".")
    return Path(ROOTS.get(package, ""), *module.split(".")).with_suffix(".py")


def extension_of(module: str) -> Path:
    """Where its extension goes, from the root of the repository; that of the shared library is at
    the top."""
    source = source_of(module)
    return source.with_name(source.stem + SUFFIX)


def digests(root: Path = ROOT) -> dict[str, str]:
    """Of the sources of all modules that are compiled, as they are now."""
    return {
        module: hashlib.sha256((root / source_of(module)).read_bytes()).hexdigest()
        for module in modules(root)
    }


def extensions(root: Path = ROOT) -> list[Path]:
    """Those that stand beside sources, whatever Python they were built for."""
    found = [file for top in TOPS for file in (root / top).rglob("*.so")]
    return sorted([*found, *root.glob(f"{GROUP}__mypyc*.so")])


def stale(root: Path = ROOT) -> list[str]:
    """Modules whose extensions are not of their sources as they are; none where none is built."""
    if not extensions(root):
        return []
    try:
        built = json.loads((root / "build" / "compiled" / "built.json").read_text())
    except (OSError, ValueError):
        built = {}
    now = digests(root)
    return sorted(one for one in now.keys() | built.keys() if now.get(one) != built.get(one))


def check_tools() -> None:
    """Raises CannotCompile where mypyc or a C compiler is missing."""
    try:
        import mypyc.build  # noqa: F401
        import setuptools  # noqa: F401
    except ImportError as error:
        raise CannotCompile(
            f"{error.name} is not in this environment; `make setup` installs it"
        ) from error
    words = os.environ.get("CC") or str(sysconfig.get_config_var("CC") or "cc")
    compiler = shlex.split(words)[0]
    if shutil.which(compiler) is None:
        raise CannotCompile(
            f"compiling needs a C compiler, and there is no {compiler} (Debian: gcc); "
            "without one Homeport runs from its sources, which is all the same but for speed"
        )
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        raise CannotCompile(
            f"compiling needs Python's headers, and there is no {header} (Debian: python3-dev)"
        )


def compile_modules(names: tuple[str, ...], *, root: Path = ROOT, work: Path = WORK) -> list[Path]:
    """Compiles them into `work`; gives what was built, from `work`/lib on, as import paths have it.
    Raises CannotCompile; SystemExit, with its words on stderr, where a module cannot be."""
    check_tools()
    from mypyc.build import mypycify
    from setuptools import Distribution

    lib, before = work / "lib", Path.cwd()
    shutil.rmtree(lib, ignore_errors=True)
    lib.mkdir(parents=True)
    os.chdir(root)  # names of modules are found from here
    try:
        found = mypycify(
            ["--config-file=pyproject.toml", *(str(source_of(name)) for name in names)],
            group_name=GROUP,
            opt_level="3",
            debug_level="0",
            multi_file=True,
            target_dir=str(work / "c"),
        )
        distribution = Distribution({"name": "homeport-server", "ext_modules": found})
        command = distribution.get_command_obj("build_ext")
        command.build_lib, command.build_temp = str(lib), str(work / "objects")
        command.parallel = os.cpu_count()
        command.ensure_finalized()
        command.run()
    finally:
        os.chdir(before)
    return sorted(file.relative_to(lib) for file in lib.rglob("*.so"))


def place_of(built: Path) -> Path:
    """Where an extension goes in the repository, of where it stands among import paths."""
    return Path(ROOTS.get(built.parts[0], ""), built)


def remove(root: Path = ROOT) -> int:
    """Back to the sources; gives how many extensions there were."""
    found = extensions(root)
    for file in found:
        file.unlink()
    return len(found)


def build(root: Path = ROOT) -> str:
    """Compiles what is listed, beside the sources, unless that stands already. What came of it,
    in words."""
    names = modules(root)
    if extensions(root) and not stale(root):
        return f"{len(names)} modules are compiled already"
    work, sources = root / "build" / "compiled", digests(root)
    built = compile_modules(names, root=root, work=work)
    remove(root)
    for file in built:
        shutil.copyfile(work / "lib" / file, root / place_of(file))
    (work / "built.json").write_text(json.dumps(sources, indent=1))
    return f"{len(names)} modules are compiled; `make pure` goes back to their sources"


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--remove", action="store_true", help="back to the sources")
    if parser.parse_args(words).remove:
        print(f"{remove()} extensions removed; Homeport runs from its sources")
        return 0
    try:
        print(build())
    except CannotCompile as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
