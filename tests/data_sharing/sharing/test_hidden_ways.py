"""The table of every way to a hidden field, tried with the secret in each place and under each kind
of policy: who must not learn it does not, and every way would have told it, had it been open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.hidden_ways.scene import (
    FIELD,
    FLOW,
    NESTED,
    PLACES,
    SECRET,
    SUBJECT,
    Place,
    Scene,
    all_but,
    hidden_from_operators,
    masked,
    scene,
    shown_to_all,
    without_consent,
)
from tests.support.hidden_ways.ways import WAYS, Reader, Way

BY_PLACE = pytest.mark.parametrize("place", PLACES, ids=[one.name for one in PLACES])
ATTRIBUTES_TOO = (
    "instruction payload and journal",
    "tail of a consumer",
    "tail of what it caused",
    "tail of an operator",
    "decisions",
    "explain an event",
    "ancestry",
    "instructions and outcomes",
    "dead letters",
    "approvals over HTTP",
    "audit log",
    "approvals",
)  # fmt: skipBY_BEGINNING = ("rule: beginning",)  # which a mask may leave


async def heard(found: Scene, ways: list[Way]) -> dict[str, str]:
    """What each says, in order."""
    return {one.name: await one.hears(found) for one in ways}


def leaks(told: dict[str, str]) -> dict[str, str]:
    """Which say it, and what stands around it."""
    return {
        name: said[max(0, said.find(SECRET) - 100) : said.find(SECRET) + 20]
        for name, said in told.items()
        if SECRET in said
    }


def ways_of(place: Place) -> list[Way]:
    return [
        one
        for one in WAYS
        if (one.name in ATTRIBUTES_TOO if place is FLOW else place in one.places)
    ]


@pytest.mark.parametrize("place", [*PLACES, FLOW], ids=lambda one: one.name)
async def test_every_way_tells_it_where_the_feed_is_open(tmp_path: Path, place: Place) -> None:
    """So that a way that cannot tell anything is no row of this table."""
    ways = ways_of(place)
    async with scene(tmp_path, place, None) as found:
        told = await heard(found, ways)
    assert [one.name for one in ways if one.shows not in told[one.name]] == []


@pytest.mark.parametrize("place", [*PLACES, FLOW], ids=lambda one: one.name)
async def test_no_way_tells_what_nobody_is_granted(tmp_path: Path, place: Place) -> None:
    async with scene(tmp_path, place, shown_to_all(place)) as found:
        told = await heard(found, ways_of(place))
    assert leaks(told) == {}


@BY_PLACE
async def test_no_way_tells_others_what_rules_are_granted(tmp_path: Path, place: Place) -> None:
    """And those who are granted it are told."""
    ways = ways_of(place)
    async with scene(tmp_path, place, hidden_from_operators(place)) as found:
        told = await heard(found, ways)
    others = {one.name: told[one.name] for one in ways if one.reader is not Reader.LAMP}
    assert leaks(others) == {}
    granted = [one.name for one in ways if one.reader is Reader.LAMP]
    assert [name for name in granted if SECRET not in told[name]] == []


@pytest.mark.parametrize(
    ("place", "mask"),
    [
        pytest.param(FIELD, "hash", id="a-pseudonym"),
        pytest.param(FIELD, {"prefix": 2}, id="its-beginning"),
        pytest.param(FIELD, "year", id="the-year-of-what-is-no-date"),
        pytest.param(NESTED, "drop", id="nothing-of-it"),
        pytest.param(NESTED, "null", id="that-it-is-there"),
    ],
)
async def test_no_way_tells_more_than_its_mask_leaves(
    tmp_path: Path, place: Place, mask: Any
) -> None:
    async with scene(tmp_path, place, masked(place, mask)) as found:
        told = await heard(found, ways_of(place))
    assert leaks(told) == {}


@pytest.mark.parametrize("place", [FIELD, NESTED], ids=lambda one: one.name)
async def test_no_way_tells_what_is_taken_out_of_all_the_data(tmp_path: Path, place: Place) -> None:
    async with scene(tmp_path, place, all_but(place)) as found:
        told = await heard(found, ways_of(place))
    assert leaks(told) == {}


@pytest.mark.parametrize("place", [FIELD, SUBJECT], ids=lambda one: one.name)
async def test_no_way_tells_what_a_user_has_not_consented_to(tmp_path: Path, place: Place) -> None:
    async with scene(tmp_path, place, without_consent(place)) as found:
        told = await heard(found, ways_of(place))
    assert leaks(told) == {}


async def test_ways_tell_what_the_user_has_consented_to(tmp_path: Path) -> None:
    """Operators are not shown decisions by it: whose they are is not known there."""
    ways = [one for one in ways_of(FIELD) if one.reader in (Reader.LAMP, Reader.CONSUMER)]
    async with scene(tmp_path, FIELD, without_consent(FIELD), consents=True) as found:
        told = await heard(found, ways)
    assert [one.name for one in ways if SECRET not in told[one.name]] == []
