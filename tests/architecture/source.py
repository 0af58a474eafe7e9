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
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


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
def parsed(file: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(file.read_text(), str(file))


def parts(name: str) -> tuple[str, ...]:
    """The words of a snake_case or CamelCase name, in lower case."""
    spaced = re.sub(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3_\2\4", name)
    return tuple(word for word in spaced.lower().split("_") if word)


def names_of(file: Path) -> Iterator[Name]:
    """The module's own name, its classes, and its public functions and methods."""
    path = relative(file)
    if file.stem not in ("__init__", "__main__"):
        yield Name(kind="module", text=file.stem, path=path)
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.ClassDef):
            yield Name(kind="class", text=node.name, path=path)
        elif isinstance(node, FunctionNode) and not node.name.startswith("_"):
            yield Name(kind="function", text=node.name, path=path)


def folder_names(folder: Path) -> Iterator[Name]:
    """The folders that hold modules."""
    for found in sorted({file.parent for file in python_files(folder)}):
        yield Name(kind="module", text=found.name, path=relative(found))


def public_classes() -> Iterator[tuple[str, Name]]:
    """The root package of each class that has no underscore before its name, and its name."""
    for package, folder in PACKAGES.items():
        for file in python_files(folder):
            for node in parsed(file).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    yield package, Name(kind="class", text=node.name, path=relative(file))
