"""The list of compiled modules, and what is known of a build beside the sources."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path

import pytest

from control_plane.compiled_modules import LIBRARY
from tests.support.compiled_build import BUILD

ROOT = Path(__file__).parents[2]
LISTED: tuple[str, ...] = BUILD.modules()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The list and the sources of all modules on it, as a repository of their own."""
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    for module in LISTED:
        source = BUILD.source_of(module)
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / source, tmp_path / source)
    return tmp_path


def build_in(root: Path) -> None:
    """As if it had been built there."""
    for module in LISTED:
        (root / BUILD.extension_of(module)).write_bytes(b"")
    (root / "build" / "compiled").mkdir(parents=True)
    (root / "build" / "compiled" / "built.json").write_text(json.dumps(BUILD.digests(root)))


def test_the_list_is_in_order_and_names_modules_that_are_there() -> None:
    assert list(LISTED) == sorted(set(LISTED))
    assert [one for one in LISTED if not (ROOT / BUILD.source_of(one)).is_file()] == []


def test_a_module_of_data_sharing_is_found_below_its_folder() -> None:
    assert BUILD.source_of("data_sharing.rules.index") == Path(
        "data-sharing/data_sharing/rules/index.py"
    )


def test_installations_look_for_the_library_that_the_build_makes() -> None:
    assert f"{BUILD.GROUP}__mypyc" == LIBRARY


def test_where_nothing_is_built_nothing_is_stale(copy: Path) -> None:
    assert BUILD.stale(copy) == []


def test_a_build_of_the_sources_as_they_are_is_not_stale(copy: Path) -> None:
    build_in(copy)
    assert BUILD.stale(copy) == []


def test_a_source_that_changed_since_is_stale(copy: Path) -> None:
    build_in(copy)
    with (copy / BUILD.source_of(LISTED[0])).open("a") as source:
        source.write("\nMORE = 1\n")
    assert BUILD.stale(copy) == [LISTED[0]]


def test_a_build_that_left_no_word_of_what_it_built_is_stale(copy: Path) -> None:
    build_in(copy)
    (copy / "build" / "compiled" / "built.json").unlink()
    assert BUILD.stale(copy) == list(LISTED)


def test_pure_removes_every_extension_and_no_source(copy: Path) -> None:
    build_in(copy)
    assert BUILD.remove(copy) == len(LISTED)
    assert BUILD.extensions(copy) == []
    assert all((copy / BUILD.source_of(module)).is_file() for module in LISTED)


@pytest.mark.slow
def test_without_a_c_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BUILD.CannotCompile, match="there is no no-such-compiler"):
        BUILD.check_tools()


def lost_annotations(tree: ast.Module) -> list[str]:
    """Fields of Structs whose types would be lost: compiled, anything but a name counts as any
    type at all, and msgspec reads by it."""
    return [
        f"{node.name}.{ast.unparse(line.target)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).endswith("Struct") for base in node.bases)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and not isinstance(line.annotation, ast.Name)
    ]


def test_no_struct_on_the_list_loses_the_types_of_its_fields() -> None:
    texts = {module: (ROOT / BUILD.source_of(module)).read_text() for module in LISTED}
    found = {module: lost_annotations(ast.parse(text)) for module, text in texts.items()}
    assert {module: lost for module, lost in found.items() if lost} == {}


def test_a_struct_that_loses_one_is_seen() -> None:
    text = "class A(msgspec.Struct):\n    one: int\n    other: str | None\n"
    assert lost_annotations(ast.parse(text)) == ["A.other"]
