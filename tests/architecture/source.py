"""The names and places of the source code, read without importing it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Where each root package lives; generated code is no one's wording.
PACKAGES = {
    "homeport": ROOT / "sdk" / "homeport",
    "control_plane": ROOT / "control_plane",
    "deployment_units": ROOT / "deployment_units",
    "provisioner": ROOT / "provisioner",
    "data_sharing": ROOT / "data-sharing" / "data_sharing",
    "simulation": ROOT / "simulation",
    "console": ROOT / "console",
}
GENERATED = PACKAGES["homeport"] / "api"
_DEFINED = re.compile(r"^([ \t]*)(class|def|async def)[ \t]+(\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A name that the code gives to a module, class or public function."""

    kind: str  # "module", "class" or "function"
    text: str
    path: str  # relative to the repository

    def __str__(self) -> str:
        return f"{self.kind} {self.text} ({self.path})"


def python_files(folder: Path) -> list[Path]:
    """Every written module below a folder, in order."""
    return sorted(
        file
        for file in folder.rglob("*.py")
        if "__pycache__" not in file.parts and GENERATED not in file.parents
    )


def package_files() -> list[Path]:
    """Every written module of the packages."""
    return [file for folder in PACKAGES.values() for file in python_files(folder)]


def relative(file: Path) -> str:
    """As it is called from the root of the repository."""
    return file.relative_to(ROOT).as_posix()


@cache
def text_of(file: Path) -> str:
    """The source of a module."""
    return file.read_text()


@cache
def parsed(file: Path) -> ast.Module:
    """The syntax tree of a module. To parse them all takes ten seconds, so tests look at the
    text of a module first where that says whether there is anything to see."""
    return ast.parse(text_of(file), str(file))


def parts(name: str) -> tuple[str, ...]:
    """The words of a snake_case or CamelCase name, in lower case."""
    spaced = re.sub(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3_\2\4", name)
    return tuple(word for word in spaced.lower().split("_") if word)


def definitions(file: Path) -> Iterator[tuple[str, str, str]]:
    """The indent, kind ("class" or "function") and name of each line that begins a definition; a
    line of a text that looks like one is taken for one."""
    for indent, keyword, name in _DEFINED.findall(text_of(file)):
        yield indent, "class" if keyword == "class" else "function", name


def names_of(file: Path) -> Iterator[Name]:
    """The module's own name, its classes, and its public functions and methods."""
    path = relative(file)
    if file.stem not in ("__init__", "__main__"):
        yield Name(kind="module", text=file.stem, path=path)
    for _, kind, name in definitions(file):
        if kind == "class" or not name.startswith("_"):
            yield Name(kind=kind, text=name, path=path)


def folder_names(folder: Path) -> Iterator[Name]:
    """The folders that hold modules."""
    for found in sorted({file.parent for file in python_files(folder)}):
        yield Name(kind="module", text=found.name, path=relative(found))


def public_classes() -> Iterator[tuple[str, Name]]:
    """The root package of each class that has no underscore before its name, and its name."""
    for package, folder in PACKAGES.items():
        for file in python_files(folder):
            for indent, kind, name in definitions(file):
                if kind == "class" and not indent and not name.startswith("_"):
                    yield package, Name(kind=kind, text=name, path=relative(file))
