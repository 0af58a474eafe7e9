"""The judge where assignments are in several clusters: each history for itself, and together.

Shares no code with what it judges. No revision orders what happens in two clusters, but this
does: a shard's owners follow each other in the map's history, and a cluster's epoch says from
which of its revisions on no older map is used there. So every write by a server falls into
one period of one owner, and a client's life is the periods of its shard, one after another.

In each cluster, at every revision: what a server writes, it counts (usage changes by as many
clients as come and go); only a standing session writes; clients are added only under a gate
that names a fence whose ledger was once open and fitting; counting begins anew only at a unit
that was removed. Whoever writes clients without
counting is a mover, and may do so only for a shard that the map says is on its way between
the two, at the target before the switch, at the source after it.

Over all: a client has one life. What a server finds when a shard has come over must be what
the last one left there: nobody is assigned who has a home, nobody released who has none, and
at the end each client stands where its shard's owner is, once, with the unit and epoch that
its life says. Frozen copies are the only clients that may stand in two clusters.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from tests.support.judge.books import Home, Ledger, Step
from tests.support.judge.journal import Journal
from tests.support.judge.verdict import Verdict

FIRST = 2
SHARDS = 1024
PERIOD = 1 << 40  # revisions of one period, in the journal's numbers


def shard_of(client: str) -> int:
    """As docs/reference/scale-out.md has it: the first two bytes of BLAKE2b, by 1,024."""
    return int.from_bytes(blake2b(client.encode(), digest_size=2).digest(), "big") % SHARDS


class Write(NamedTuple):
    """A server's write of one client in one cluster."""

    cluster: str
    revision: int
    epoch: int  # of the cluster then: the oldest map in use
    home: Home | None
    by_system: bool


class Copied(NamedTuple):
    """A write of a client that nobody counted."""

    cluster: str
    revision: int
    client: str


class MapAt(NamedTuple):
    """One version of the shard map."""

    version: int
    owners: tuple[str, ...]
    moves: tuple[dict[str, Any], ...]


@dataclass(slots=True)
class Cluster:
    """One assignment cluster as it stands."""

    name: str
    revision: int = FIRST - 1
    epoch: int = 0
    homes: dict[str, Home] = field(default_factory=dict)
    usage: dict[tuple[str, str], int] = field(default_factory=dict)
    gates: dict[str, int] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)


class Atlas:
    """Feed it each store's history in its own order; `finish` when all have been fed."""

    def __init__(self, verdict: Verdict, clusters: Sequence[str]) -> None:
        self.verdict = verdict
        self.clusters = {name: Cluster(name) for name in clusters}
        self.units: dict[str, Ledger] = {}
        self.maps: list[MapAt] = []
        self._fences: dict[str, int] = {}
        self._fitting: set[tuple[str, int]] = set()  # (unit, fence) whose ledger was seen to fit
        self._used: dict[tuple[str, int], tuple[str, int]] = {}  # where it was added under
        self._most: dict[tuple[str, str], int] = {}  # the highest usage by (unit, provisioner)
        self._allowed: dict[tuple[str, str], int] = {}  # the highest allowance
        self._writes: dict[str, list[Write]] = defaultdict(list)
        self._copies: list[Copied] = []
        self._removed: set[str] = set()  # units that were, once
        self._restarts: list[tuple[str, str, int]] = []  # counting began at 0 again
        self.counted = 0

    # -- the control data --------------------------------------------------------------

    def control(self, revision: int, changes: Mapping[str, bytes | None]) -> None:
        """All changes of one revision of the store."""
        self.verdict.revisions += 1
        touched = set()
        for key, value in changes.items():
            kind, _, rest = key.partition("/")
            if kind == "fence":
                self._fences[rest] = revision if value is not None else 0
                touched.add(rest)
            elif kind == "capacity":
                touched.add(rest)
                if value is None:
                    self.units.pop(rest, None)
                    self._removed.add(rest)
                    continue
                self.units[rest] = ledger = Ledger.of(value)
                for who, slots in ledger.grants.items():
                    known = self._allowed.get((rest, who))
                    self._allowed[rest, who] = slots if known is None else max(known, slots)
            elif key == "shards/map" and value is not None:
                self._mapped(revision, json.loads(value))
        for unit in touched:
            ledger = self.units.get(unit)
            if ledger is not None and ledger.fits:
                self._fitting.add((unit, self._fences.get(unit, 0)))

    def _mapped(self, revision: int, told: dict[str, Any]) -> None:
        owners = tuple(told["clusters"][place] for place in told["owners"])
        if self.maps:
            last = self.maps[-1]
            if told["version"] != last.version + 1:
                self._accuse("ledger", revision, "shards/map", "a version is left out")
            ready = {
                shard
                for move in last.moves
                if move["stage"] == "frozen"
                for shard in move["shards"]
            }
            for shard in range(SHARDS):
                if owners[shard] != last.owners[shard] and shard not in ready:
                    self._accuse(
                        "ledger", revision, "shards/map", f"shard {shard} changed hands unfrozen"
                    )
        self.maps.append(MapAt(told["version"], owners, tuple(told["moves"])))

    # -- the clusters ------------------------------------------------------------------

    def cluster(self, name: str, revision: int, changes: Mapping[str, bytes | None]) -> None:
        """All changes of one revision of one cluster."""
        self.verdict.revisions += 1
        here = self.clusters[name]
        here.revision = revision
        parts: dict[str, dict[str, bytes | None]] = defaultdict(dict)
        for key, value in changes.items():
            kind, _, rest = key.partition("/")
            parts[kind][rest] = value
        living = set(here.sessions)
        for who, value in parts.get("sessions", {}).items():
            (here.sessions.discard if value is None else here.sessions.add)(who)
        epoch_before = here.epoch
        told = changes.get("shards/epoch")
        if told is not None:
            if int(told) < here.epoch:
                self._accuse("ledger", revision, "shards/epoch", "went back")
            here.epoch = int(told)
        counted = self._usage(here, parts.get("usage", {}), living)
        gained = self._assignments(here, parts, epoch_before, counted is not None)
        if counted is not None:
            for unit in set(gained) | set(counted):
                if gained.get(unit, 0) == counted.get(unit, 0):
                    pass
                elif not gained and all(not int(v or 0) for v in parts["usage"].values()):
                    self._restarts.append((unit, name, revision))
                else:
                    self._accuse(
                        "ledger", revision, f"{name}: usage/{unit}",
                        f"{gained.get(unit, 0)} clients came, {counted.get(unit, 0)} are counted",
                    )  # fmt: skip
                if gained.get(unit, 0) > 0:
                    self._used.setdefault((unit, here.gates.get(unit, 0)), (name, revision))
        for unit, value in parts.get("gate", {}).items():
            here.gates[unit] = int(value) if value is not None else 0

    def _usage(
        self, here: Cluster, changes: Mapping[str, bytes | None], living: set[str]
    ) -> dict[str, int] | None:
        """By unit, what was counted; None where nobody counted anything."""
        if not any(value is not None for value in changes.values()):
            for rest in changes:
                unit, _, who = rest.rpartition("/")
                here.usage.pop((unit, who), None)
                if who in living:
                    self._accuse("ledger", here.revision, rest, f"{who} lives, is forgotten")
            return None
        counted: dict[str, int] = defaultdict(int)
        for rest, value in changes.items():
            unit, _, who = rest.rpartition("/")
            if who not in living:
                self._accuse("ledger", here.revision, rest, f"{who} writes without session")
            now = int(value or 0)
            counted[unit] += now - here.usage.get((unit, who), 0)
            here.usage[unit, who] = now
            self._most[unit, who] = max(self._most.get((unit, who), 0), now)
        self.counted += 1
        return counted

    def _assignments(
        self,
        here: Cluster,
        parts: Mapping[str, Mapping[str, bytes | None]],
        epoch: int,
        by_server: bool,
    ) -> dict[str, int]:
        gained: dict[str, int] = defaultdict(int)
        departed = {
            rest.partition("/")[2]: json.loads(value)
            for rest, value in parts.get("moves", {}).items()
            if value is not None
        }
        for client, value in parts.get("assignments", {}).items():
            old = here.homes.pop(client, None)
            new = None
            if old is not None:
                gained[old.unit] -= 1
            if value is not None:
                told = json.loads(value)
                new = here.homes[client] = Home(told["unit"], told["epoch"], told["at_ms"])
                gained[new.unit] += 1
            if by_server:
                departure = departed.get(client)
                by_system = new is None and departure is not None and not departure["unit"]
                self._writes[client].append(Write(here.name, here.revision, epoch, new, by_system))
            else:
                self._copies.append(Copied(here.name, here.revision, client))
        return gained

    # -- all together ------------------------------------------------------------------

    def finish(self, journal: Journal) -> None:
        """Judges what needs all histories, and tells the journal each client's life."""
        periods = self._periods()
        self._judge_copies()
        for key, (name, revision) in self._used.items():
            if key not in self._fitting:
                unit, fence = key
                self._accuse(
                    "ledger", revision, f"{name}: gate/{unit}",
                    f"gains clients under fence {fence}, which nobody may use",
                )  # fmt: skip
        for unit, name, revision in self._restarts:
            if unit not in self._removed:
                what = "counts from 0 again, and was never removed"
                self._accuse("ledger", revision, f"{name}: usage/{unit}", what)
        for (unit, who), most in self._most.items():
            allowed = self._allowed.get((unit, who), 0)
            if most > allowed and most > 0:
                self._accuse("ledger", 0, f"usage/{unit}/{who}", f"used {most} of {allowed}")
        lives = {client: self._live(client, journal, periods) for client in self._writes}
        self._judge_end({client: home for client, home in lives.items() if home is not None})

    def _periods(self) -> dict[int, list[tuple[str, int]]]:
        """By shard that ever moved: its owners in order, each with the version of the map
        that froze it there for good; the last one's is never."""
        found: dict[int, list[tuple[str, int]]] = {}
        frozen_at: dict[str, int] = {}
        for before, after in zip(self.maps, self.maps[1:], strict=False):
            stages = {move["id"]: move["stage"] for move in before.moves}
            for move in after.moves:
                if move["stage"] == "frozen" and stages.get(move["id"]) != "frozen":
                    frozen_at[move["id"]] = after.version
                if move["stage"] == "switched" and stages.get(move["id"]) == "frozen":
                    for shard in move["shards"]:
                        found.setdefault(shard, []).append((move["source"], frozen_at[move["id"]]))
        never = self.maps[-1].version + 1 if self.maps else 1
        for shard, owners in found.items():
            owners.append((self.maps[-1].owners[shard], never))
        return found

    def _live(
        self, client: str, journal: Journal, periods: Mapping[int, list[tuple[str, int]]]
    ) -> Home | None:
        """Goes through a client's life; what home it has at its end."""
        shard = shard_of(client)
        owners = periods.get(shard) or [(self.maps[-1].owners[shard], self.maps[-1].version + 1)]
        ordered: list[tuple[int, Write]] = []
        for write in self._writes[client]:
            place = next(
                (
                    place
                    for place, (owner, frozen) in enumerate(owners)
                    if owner == write.cluster and write.epoch < frozen
                ),
                None,
            )
            if place is None:
                self._accuse(
                    "P2", write.revision, client, f"is written in {write.cluster}, not its owner"
                )
                continue
            ordered.append((place * PERIOD + write.revision, write))
        ordered.sort(key=lambda one: one[0])
        home: Home | None = None
        for number, write in ordered:
            new = write.home
            if new is None and home is None:
                self._accuse("P1", write.revision, client, f"{write.cluster} releases nobody")
            elif new is not None and home is None and new.epoch < 1:
                self._accuse("P2", write.revision, client, f"begins at epoch {new.epoch}")
            elif new is not None and home is not None:
                if new.epoch == home.epoch:
                    self._accuse(
                        "P2", write.revision, client,
                        f"is assigned twice: {home} and, in {write.cluster}, {new}",
                    )  # fmt: skip
                elif new.epoch != home.epoch + 1:
                    self._accuse("P2", write.revision, client, f"{new} comes after {home}")
                self.verdict.moves += new.unit != home.unit
            home = new
            journal.step(Step(client, number, home, write.by_system))
        return home

    def _judge_copies(self) -> None:
        """Only movers write clients without counting them, and only on their way."""
        allowed: set[tuple[str, int]] = set()
        for at in self.maps:
            for move in at.moves:
                for shard in move["shards"]:
                    if move["stage"] in ("copying", "frozen"):
                        allowed.add((move["target"], shard))
                    elif move["stage"] == "clearing":
                        allowed.add((move["source"], shard))
        for copy in self._copies:
            if (copy.cluster, shard_of(copy.client)) not in allowed:
                self._accuse(
                    "ledger", copy.revision, f"{copy.cluster}: {copy.client}",
                    "is written without being counted, and its shard does not move",
                )  # fmt: skip

    def _judge_end(self, lives: Mapping[str, Home]) -> None:
        owners = self.maps[-1].owners
        moving = {shard for move in self.maps[-1].moves for shard in move["shards"]}
        clients: dict[str, int] = defaultdict(int)
        for name, cluster in self.clusters.items():
            for client, home in cluster.homes.items():
                shard = shard_of(client)
                if owners[shard] != name:
                    if shard not in moving:
                        self._accuse("P2", cluster.revision, client, f"is left behind in {name}")
                    continue
                clients[home.unit] += 1
                if lives.get(client) != home:
                    self._accuse(
                        "P1", cluster.revision, client,
                        f"its life ends with {lives.get(client)}, {name} says {home}",
                    )  # fmt: skip
        for client, home in lives.items():
            owner = owners[shard_of(client)]
            if client not in self.clusters[owner].homes:
                self._accuse("P1", 0, client, f"had {home} and is not in {owner}")
        for unit, ledger in self.units.items():
            used = sum(
                cluster.usage.get((unit, who), 0)
                for cluster in self.clusters.values()
                for who in ledger.grants
            )
            if ledger.settled + used != clients[unit]:
                self._accuse(
                    "ledger", 0, f"capacity/{unit}",
                    f"{clients[unit]} clients, the books say {ledger.settled} + {used}",
                )  # fmt: skip
            if clients[unit] > ledger.capacity:
                self._accuse("P3", 0, unit, f"{clients[unit]} clients of {ledger.capacity}")
        self.clients = dict(clients)

    def _accuse(self, promise: str, revision: int, key: str, what: str) -> None:
        self.verdict.accuse(promise, revision, key, what)
