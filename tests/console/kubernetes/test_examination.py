"""What `homeport doctor --cluster` says of a release as a whole."""

from __future__ import annotations

from typing import Any

import pytest

from console.cli.health_checks import CheckOutcome
from console.cli.kubernetes.examination import MOST_OF_A_CHECK
from console.cli.scrape import Scrape
from tests.support.kube.release_objects import (
    TOKEN,
    VERSION,
    Objects,
    healthy_release,
    labels,
    tokens_toml,
)
from tests.support.kube.spoiled_release import examined, faults, named, secret, without


def test_of_a_release_that_is_well_nothing_is_said() -> None:
    assert faults(examined(healthy_release())) == []


def test_every_object_may_be_without_what_it_may_be_without() -> None:
    """Objects that have just been made have no status, and most keys are optional."""
    objects = healthy_release()
    for kind in objects.values():
        for one in kind:
            one.pop("status", None)
    assert examined(objects)
    bare: Objects = {
        kind: [{"metadata": {"name": "x", "labels": labels("provisioner")}}] for kind in objects
    }
    assert examined(bare)


def scraped(**more: Any) -> Scrape:
    values = {"version": VERSION, "store_connected": 1.0, "geo_build_s": None, "clock_skew_s": None}
    return Scrape(**{"ready": True, **values, **more})


@pytest.mark.parametrize(
    ("seen", "check", "words"),
    [
        pytest.param(scraped(store_connected=0.0), "store", "lost its store", id="no store"),
        pytest.param(scraped(ready=False), "store", "cannot place", id="no session"),
        pytest.param(scraped(failing_tasks=("moves",)), "tasks", "moves", id="a failing task"),
        pytest.param(scraped(damaged=("units/a",)), "records", "units/a", id="a damaged record"),
        pytest.param(scraped(geo_build_s=1.0), "geo", "days old", id="an old geo database"),
        pytest.param(None, "metrics", "says nothing", id="silence"),
        pytest.param(scraped(version="0.2.1"), "versions", "0.2.1", id="another version"),
    ],
)
def test_what_a_server_says_of_itself(seen: Scrape | None, check: str, words: str) -> None:
    found = faults(examined(healthy_release(), scrapes={"hp-provisioner-0": seen}))
    assert [one.check for one in found] == [check]
    assert words in found[0].seen
    assert "hp-provisioner-0" in found[0].seen


def test_what_may_not_be_read_is_no_fault_of_the_release() -> None:
    objects = healthy_release()
    for kind in ("secrets", "networkpolicies", "namespaces"):
        del objects[kind]
    refused = dict.fromkeys(("secrets", "networkpolicies", "namespaces"), "forbidden")
    found = faults(examined(objects, unreadable=refused))
    assert {one.outcome for one in found} == {CheckOutcome.WARN}
    assert {one.check for one in found} == {"secrets", "rights"}


def test_a_namespace_without_anything_is_said_to_be_so() -> None:
    (found,) = faults(examined({}))
    assert "nothing of Homeport in namespace homeport" in found.seen


def test_releases_of_others_are_left_alone() -> None:
    objects = healthy_release()
    without("secrets", "hp-tokens")(objects)
    (found,) = faults(examined(objects, release="another"))
    assert "nothing of Homeport in release another" in found.seen


def test_many_of_a_kind_are_told_by_their_number() -> None:
    objects = healthy_release()
    agent = named(objects, "deployments", "hp-unit-dublin")
    for number in range(MOST_OF_A_CHECK + 5):
        unit = {**agent, "metadata": {**agent["metadata"], "name": f"unit-{number}"}}
        template = {**agent["spec"]["template"]["spec"]}
        template["volumes"] = [{"name": "v", "secret": {"secretName": f"absent-{number}"}}]
        unit["spec"] = {
            **agent["spec"],
            "template": {**agent["spec"]["template"], "spec": template},
        }
        objects["deployments"].append(unit)
    found = [one for one in faults(examined(objects)) if one.check == "secrets"]
    assert len(found) == MOST_OF_A_CHECK + 1
    assert found[-1].seen == "5 more like these"


def test_tokens_are_never_shown() -> None:
    objects = healthy_release()
    secret("hp-tokens", tokens__toml=tokens_toml("hp_other"))(objects)
    assert TOKEN not in str(examined(objects))
