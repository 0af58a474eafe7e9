"""A module holds one thing, and a general word stands bare in one package at most."""

from __future__ import annotations

from collections import defaultdict

from tests.architecture.source import package_files, public_classes, relative

MOST_LINES = 400
# Words that say nothing without a noun: two packages that use one bare would mean two things.
# `Event` may stand: in the store it is etcd's, in data sharing CloudEvents'.
GENERAL = {
    "Cause", "Change", "Kind", "Mode", "Outcome", "Phase", "Reason", "Result", "Stage",
    "Standing", "State", "Status", "Verdict", "Watch",
}  # fmt: skip


def test_no_module_is_longer_than_a_reader_keeps_in_mind() -> None:
    lengths = {relative(file): len(file.read_text().splitlines()) for file in package_files()}
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_general_word_stands_bare_in_two_packages() -> None:
    homes: dict[str, dict[str, str]] = defaultdict(dict)
    for package, name in public_classes():
        homes[name.text][package] = name.path
    shared = {
        text: sorted(found.values())
        for text, found in homes.items()
        if text in GENERAL and len(found) > 1
    }
    assert shared == {}
