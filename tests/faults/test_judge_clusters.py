"""The judge of several clusters accuses what it should, and nothing else."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from tests.support.judge.clusters import SHARDS, Atlas, shard_of
from tests.support.judge.journal import Call, Journal
from tests.support.judge.verdict import Verdict

ALICE = "t/alice"
P, Q = "p.1@east", "p.2@west"


class Told:
    """A history in the making: alice is placed at east, moved to west, released there. Each
    step may be left out or replaced."""

    def __init__(self, without: str = "", **instead) -> None:
        self.verdict = Verdict()
        self.atlas = Atlas(self.verdict, ["east", "west"])
        self.without, self.instead = without, instead
        self._revision = {"": 1, "east": 1, "west": 1}
        self._version = 0
        self._owner = "east"

    def at(self, store: str, name: str = "", **changes) -> None:
        if name and name == self.without:
            return
        changes = {key: None if value is None else str(value).encode()
                   for key, value in self.instead.get(name, changes).items()}  # fmt: skip
        self._revision[store] += 1
        revision = self._revision[store]
        if store:
            self.atlas.cluster(store, revision, changes)
        else:
            self.atlas.control(revision, changes)

    def ledger(self, settled: int = 0, capacity: int = 5, **grants: int) -> None:
        names = {"p": P, "q": Q}
        record = {"capacity": capacity, "settled": settled,
                  "grants": {names[who]: slots for who, slots in grants.items()}}  # fmt: skip
        self.at("", "", **{"capacity/u": json.dumps(record)})

    def map(self, stage: str = "", owner: str = "") -> None:
        if stage and stage == self.without:
            return
        self._owner = owner or self._owner
        self._version += 1
        clusters = ["east", "west"]
        owners = [0] * SHARDS
        owners[shard_of(ALICE)] = clusters.index(self._owner)
        move = {"id": "m", "shards": [shard_of(ALICE)], "source": "east", "target": "west",
                "stage": stage}  # fmt: skip
        told = {"version": self._version, "clusters": clusters, "owners": owners,
                "moves": [move] if stage else []}  # fmt: skip
        self.at("", "", **{"shards/map": json.dumps(told)})

    def judged(self) -> Verdict:
        with Journal(None, self.verdict) as journal:
            self.atlas.finish(journal)
            journal.add([Call(ALICE, "release", 1.0, 2.0, "error")])
            journal.judge()
        return self.verdict


def assigned(unit: str = "u", epoch: int = 1) -> str:
    return json.dumps({"unit": unit, "epoch": epoch, "at_ms": 5})


def tell(without: str = "", **instead) -> Verdict:
    told = Told(without, **instead)
    told.map()
    told.ledger(p=2, q=1)
    told.at("east", **{f"sessions/{P}": ""})
    told.at("west", **{f"sessions/{Q}": ""})
    told.at("east", "placed", **{f"assignments/{ALICE}": assigned(), f"usage/u/{P}": 1})
    told.map("copying")
    told.at("west", "copied", **{f"assignments/{ALICE}": assigned()})
    told.map("frozen")
    told.at("east", "fenced", **{"shards/epoch": 3})
    told.map("switched", "west")
    told.map("clearing")
    told.at("west", "after", **{"gate/u": 0})
    told.at("east", "cleared", **{f"assignments/{ALICE}": None})
    told.map()
    told.at("west", "released", **{f"assignments/{ALICE}": None, f"usage/u/{Q}": -1})
    return told.judged()


def test_a_shard_that_moves_as_it_should_is_not_accused():
    assert tell().violations == []


@pytest.mark.parametrize(
    ("without", "instead", "promise", "words"),
    [
        pytest.param("copied", {}, "ledger", "0 clients came", id="a-client-is-not-copied"),
        pytest.param("cleared", {}, "P2", "left behind", id="a-copy-stays"),
        pytest.param("frozen", {}, "ledger", "unfrozen", id="a-shard-changes-hands-unfrozen"),
        pytest.param(
            "",
            {"after": {f"assignments/{ALICE}": assigned(), f"usage/u/{Q}": 1}},
            "ledger",
            "0 clients came",
            id="counted-twice",
        ),
        pytest.param(
            "",
            {"released": {f"assignments/{ALICE}": assigned("u", 3), f"usage/u/{Q}": 0}},
            "P2",
            "comes after",
            id="an-epoch-is-left-out",
        ),
        pytest.param(
            "",
            {"released": {f"assignments/{ALICE}": None}},
            "P1",
            "is not in west",
            id="a-client-vanishes-uncounted",
        ),
        pytest.param(
            "",
            {
                "copied": {f"assignments/{ALICE}": assigned("u", 2)},
                "released": {"gate/u": 0},  # it lives to the end
            },
            "P1",
            "its life ends with",
            id="a-copy-is-not-what-it-was",
        ),
        pytest.param(
            "",
            {"placed": {f"assignments/{ALICE}": assigned(), f"usage/u/{P}": 3}},
            "ledger",
            "used 3 of 2",
            id="more-than-its-allowance",
        ),
        pytest.param(
            "",
            {"placed": {f"assignments/{ALICE}": assigned(), "usage/u/x.9@east": 1}},
            "ledger",
            "without session",
            id="a-zombie-writes",
        ),
        pytest.param(
            "",
            {"cleared": {f"assignments/{ALICE}": None, f"usage/u/{P}": 0}},
            "P2",
            "not its owner",
            id="a-server-writes-where-the-shard-was",
        ),
    ],
)
def test_what_goes_wrong_is_accused(without, instead, promise, words):
    found = tell(without, **instead).violations
    assert any(one.promise == promise and words in one.what for one in found), found


def test_revisions_of_the_map_follow_each_other():
    told = Told()
    told.map()
    told._version += 1
    told.map()
    assert any("left out" in one.what for one in told.judged().violations)
    versions = [at.version for at in told.atlas.maps]
    assert all(one < two for one, two in pairwise(versions))
