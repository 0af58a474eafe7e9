"""The documents name what is there: the glossary's words, the tree of folders, the decisions."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, ROOT, parts, python_files, relative

DOCS = ROOT / "docs"
TREE = re.compile(r"^## Tree$.*?^```text$\n(.*?)^```$", re.M | re.S)
STATUS = re.compile(r"^Status: (accepted|superseded by \[?\d{4}\b.*|rejected)", re.M)


def glossary() -> list[tuple[str, str, list[str]]]:
    """(word, meaning, modules) of each row."""
    rows = []
    for line in (DOCS / "glossary.md").read_text().splitlines():
        if line.startswith("| ") and not line.startswith("| word |"):
            word, meaning, where = (cell.strip() for cell in line.strip("|").split(" | "))
            rows.append((word.strip("`*"), meaning, re.findall(r"`([\w./]+)`", where)))
    return rows


def source_of(dotted: str) -> str | None:
    """The text of a module, or of all modules of a package; None where there is none."""
    root, *rest = dotted.removesuffix(".py").strip("/").replace("/", ".").split(".")
    base = PACKAGES.get(root, ROOT / root)
    place = base.joinpath(*rest)
    if place.with_suffix(".py").exists():
        return place.with_suffix(".py").read_text()
    if place.is_dir() and (files := [*place.rglob("*.py"), *place.rglob("*.proto")]):
        return "\n".join([*(file.stem for file in files), *(file.read_text() for file in files)])
    return None


def plain(text: str) -> str:
    """All words of a text in lower case, one space between two: names are cut into theirs."""
    names = re.findall(r"\w+", text)
    return " ".join(word for name in names for word in parts(name))


@cache
def plain_source(dotted: str) -> str | None:
    """All words of a module's path and text, or of a package's."""
    text = source_of(dotted)
    return None if text is None else plain(f"{dotted} {text}")


def test_each_word_of_the_glossary_is_used_where_it_is_said_to_live() -> None:
    slips = []
    for word, _, modules in glossary():
        if not modules:
            slips.append(f"{word}: lives nowhere")
        terms = [plain(one) for one in re.sub(r"\(.*?\)", "", word).split(",")]
        terms += [term.removesuffix("s") for term in terms]
        for module in modules:
            text = plain_source(module)
            if text is None:
                slips.append(f"{word}: there is no {module}")
            elif not any(term in text for term in terms):
                slips.append(f"{word}: {module} does not speak of it")
    assert slips == []


def test_no_word_of_the_glossary_has_two_meanings() -> None:
    words = Counter(word.casefold() for word, _, _ in glossary())
    assert [word for word, times in words.items() if times > 1] == []


def folders_in_tree(text: str) -> set[str]:
    """The paths that an indented tree names: two spaces a level, `name/` first in its line."""
    found: set[str] = set()
    above: list[str] = []
    for line in text.splitlines():
        if named := re.match(r"^( *)(\S+)/(?= |$)", line):
            level = len(named[1]) // 2
            above = [*above[:level], named[2]]
            found.add("/".join(above))
    return found


def documented_folders() -> set[str]:
    tree = TREE.search((DOCS / "architecture.md").read_text())
    assert tree, "docs/architecture.md has no tree"
    return folders_in_tree(tree[1])


def package_folders() -> set[str]:
    """Every root package and the folders directly in it that hold modules."""
    found = set()
    for folder in PACKAGES.values():
        found.add(relative(folder))
        for child in folder.iterdir():
            if child.is_dir() and (python_files(child) or child.name == "api"):
                found.add(relative(child))
    return found


def test_the_tree_of_the_architecture_is_complete() -> None:
    assert package_folders() - documented_folders() == set()


def test_the_tree_of_the_architecture_names_nothing_else() -> None:
    assert [path for path in sorted(documented_folders()) if not (ROOT / path).is_dir()] == []


def test_a_tree_is_read_by_its_indentation() -> None:
    text = "a/      the first\n  b/c/  two at once\n    d/\n  e/\nf/\n"
    assert folders_in_tree(text) == {"a", "a/b/c", "a/b/c/d", "a/e", "f"}


def decisions() -> list[Path]:
    return sorted((DOCS / "decisions").glob("*.md"))


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(file.name[:4]) for file in decisions()]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("file", decisions(), ids=lambda file: file.stem)
def test_a_decision_opens_with_its_number_and_has_a_status(file: Path) -> None:
    text = file.read_text()
    assert text.startswith(f"# {file.name[:4]}: ")
    assert STATUS.search(text), "no line `Status: accepted`, `superseded by …` or `rejected`"
