"""What is done to the objects of a healthy release, and what `examine` then says."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from console.cli.health_checks import CheckOutcome, Finding
from console.cli.kubernetes.examination import examine
from console.cli.kubernetes.state import ClusterState
from tests.support.kube.release_objects import NAMESPACE, VERSION, Objects, encoded, healthy_release

Spoil = Callable[[Objects], None]


def fault(name: str, spoil: Spoil, check: str, *words: str, warns: bool = False) -> Any:
    """A row of a table: what is done, the check that tells of it, and what it says."""
    return pytest.param(spoil, check, words, "warn" if warns else "fail", id=name)


def tells(spoil: Spoil, check: str, words: tuple[str, ...], outcome: str) -> None:
    """Asserts that it is told, with all of the words, and what to do."""
    objects = healthy_release()
    spoil(objects)
    found = [one for one in faults(examined(objects)) if one.check == check]
    said = "\n".join(one.seen for one in found)
    assert any(one.outcome == outcome for one in found), said
    assert [word for word in words if word not in said] == []
    assert all(one.next_step for one in found)


def examined(objects: Objects, **more: Any) -> list[Finding]:
    state = ClusterState(namespace=NAMESPACE, objects=objects, **more)
    return examine(state, now_s=time.time(), version=VERSION)


def faults(findings: list[Finding]) -> list[Finding]:
    return [one for one in findings if one.outcome is not CheckOutcome.OK]


def named(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    return next(one for one in objects[kind] if one["metadata"]["name"] == name)


def containers(objects: Objects, kind: str, name: str) -> list[dict[str, Any]]:
    return named(objects, kind, name)["spec"]["template"]["spec"]["containers"]


def without(kind: str, name: str) -> Spoil:
    def spoil(objects: Objects) -> None:
        objects[kind].remove(named(objects, kind, name))

    return spoil


def secret(name: str, **content: bytes | str) -> Spoil:
    """Puts this content into it, and leaves the rest."""

    def spoil(objects: Objects) -> None:
        named(objects, "secrets", name)["data"].update(encoded(**content))

    return spoil


def without_key(name: str, key: str) -> Spoil:
    def spoil(objects: Objects) -> None:
        del named(objects, "secrets", name)["data"][key]

    return spoil


def condition(kind: str, name: str, **values: Any) -> Spoil:
    """Replaces a condition of an object, or adds it."""

    def spoil(objects: Objects) -> None:
        status = named(objects, kind, name)["status"]
        status["conditions"] = [
            *(one for one in status["conditions"] if one["type"] != values["type"]), values
        ]  # fmt: skip

    return spoil


def update(kind: str, name: str, *path: str, **values: Any) -> Spoil:
    def spoil(objects: Objects) -> None:
        found: Any = named(objects, kind, name)
        for key in path:
            found = found[key]
        found.update(values)

    return spoil


def arguments(kind: str, name: str, old: str, new: str) -> Spoil:
    def spoil(objects: Objects) -> None:
        container = containers(objects, kind, name)[0]
        assert any(old in word for word in container["args"])
        container["args"] = [word.replace(old, new) for word in container["args"]]

    return spoil
