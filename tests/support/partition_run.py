"""Workers that several partitions of a tenant's keys are spread over, which are killed while events
are published through any of them; and what they leave of each key.

The same events, rules and plan go through one worker on its own disk, and what both leave of each
key must be the same: its events in their order, its decisions, instructions and dead letters.
"""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc

from control_plane.ready_file import read_ready_file
from homeport.api.datasharing.v1 import feed_pb2 as feeds
from homeport.api.datasharing.v1 import feed_pb2_grpc
from tests.support.data_sharing_server import SharingServer
from tests.support.decision_run import PLAN, Publishing, reading

_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)
INSTRUCTIONS = "*"  # in place of a key: those of all
TIMES = ("--max-late-s=9e9", "--max-ahead-s=9e9")


class PartitionRun:
    """A context manager. workers: more than there are partitions, so that some wait; within_s: for
    a batch to be answered."""

    def __init__(
        self, folder: Path, arguments: Sequence[str], *, partitions: int, workers: int,
        within_s: float,
    ) -> None:  # fmt: skip
        self._folders = [folder / f"worker-{number}" for number in range(workers)]
        self._arguments = (*arguments, f"--feeds-partitions={partitions}", *TIMES)
        self._partitions, self._within_s = partitions, within_s
        self.workers: list[SharingServer] = []
        self.answered: list[float] = []  # when each batch was, monotonic s
        self.turned_away = 0  # calls that were sent again
        self.kills: list[float] = []

    def __enter__(self) -> PartitionRun:
        try:
            for folder in self._folders:
                folder.mkdir(parents=True)
                self.workers.append(SharingServer(folder, *self._arguments))
            self._wait_until_served()
            self._set_up()
        except BaseException:  # Ctrl-C, too: whoever did not get it cannot end it
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in self.workers:
            worker.__exit__()

    def serving(self) -> list[SharingServer]:
        """Those that have a partition."""
        found = []
        for worker in self.workers:
            told = read_ready_file(worker.ready_file)
            if told is not None and worker.process.poll() is None:
                worker.told = told
                found.append(worker)
        return found

    def publish(self, numbers: range, *, door: int, kill: bool = False) -> None:
        """Through one of those that serve, until it is answered. kill: the one beside it is killed
        meanwhile, and started again behind those that wait."""
        request = feeds.PublishBatchRequest(events=map(reading, numbers))
        end = time.monotonic() + self._within_s
        while True:
            assert time.monotonic() < end, "a batch was not answered"
            serving = self.serving()
            if not serving:
                time.sleep(0.1)
                continue
            with grpc.insecure_channel(serving[door % len(serving)].address) as channel:
                stub = feed_pb2_grpc.FeedServiceStub(channel)
                call = stub.PublishBatch.future(request, timeout=40.0)
                if kill:
                    kill = False
                    self._kill(serving[(door + 1) % len(serving)])
                try:
                    answer = call.result()
                except grpc.RpcError as error:
                    if error.code() not in _GONE:  # type: ignore[attr-defined]
                        raise
                    self.turned_away += 1
                    time.sleep(0.2)
                    continue
            assert [one for one in answer.results if one.HasField("error")] == []
            self.answered.append(time.monotonic())
            return

    def left(self) -> dict[str, dict[str, Any]]:
        """Of each key, over all partitions; a key is in one. After all workers have ended."""
        found: dict[str, dict[str, Any]] = {}
        ordered: list[str] = []
        for number in range(self._partitions):
            name = f"{number}-of-{self._partitions}"
            files = [one / "data" / "partitions" / name / "sharing.db" for one in self._folders]
            newest = max((one for one in files if one.exists()), key=_sequence)
            told = of_keys(newest)
            ordered += told.pop(INSTRUCTIONS)["others"]
            assert not found.keys() & told.keys()
            found |= told
        return found | {INSTRUCTIONS: {"events": [], "others": sorted(ordered)}}

    def _kill(self, worker: SharingServer) -> None:
        place = self.workers.index(worker)
        worker.kill()
        self.kills.append(time.monotonic())
        self.workers[place] = SharingServer(self._folders[place], *self._arguments)

    def _set_up(self) -> None:
        """Again where a worker was away in between: it changes nothing where it is done."""
        end = time.monotonic() + self._within_s
        while True:
            try:
                with grpc.insecure_channel(self.serving()[-1].address) as channel:
                    Publishing.set_up(channel, PLAN)
                return
            except grpc.RpcError as error:
                if error.code() not in _GONE or time.monotonic() > end:  # type: ignore[attr-defined]
                    raise
            self._wait_until_served()

    def _wait_until_served(self) -> None:
        end = time.monotonic() + self._within_s
        while True:
            serving = self.serving()
            if len(serving) == self._partitions and all(map(self._is_known_to, serving)):
                return
            assert time.monotonic() < end, "not all partitions are served"
            time.sleep(0.2)

    def _is_known_to(self, worker: SharingServer) -> bool:
        with grpc.insecure_channel(worker.address) as channel:
            told = feed_pb2_grpc.FeedServiceStub(channel).ListPartitions(
                feeds.ListPartitionsRequest(), timeout=30
            )
        return all(one.server for one in told.partitions)


def of_keys(file: Path) -> dict[str, dict[str, Any]]:
    """What a database has of each key of the readings: its events in order, and sorted what was
    decided of them, what that ordered, and what was left undecided."""
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"events": [], "others": []})
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        keys: dict[tuple[str, str], str] = {}
        for source, name, key in db.execute("SELECT source, id, key FROM feed_events ORDER BY row"):
            keys[source, name] = key
            found[key]["events"].append((source, name))
        at = dict(enumerate(keys, 1))
        for kind, position, rule, plan in db.execute(
            "SELECT kind, position, rule, plan FROM decisions"
        ):
            event = at[position]
            found[keys[event]]["others"].append(("decision", *event, kind, rule, plan))
        for kind, rule, source, name in db.execute(
            "SELECT kind, rule, source, event FROM dead_letters WHERE kind = 1"
        ):
            found[keys[source, name]]["others"].append(("dead", kind, rule, source, name))
        for key, kind, name in db.execute(
            "SELECT key, kind, name FROM cells WHERE kind IN ('rule', 'forecast', 'window')"
        ):
            if key in found:
                found[key]["others"].append(("cell", kind, name))
        ordered = [name for (name,) in db.execute("SELECT id FROM instructions")]
        found[INSTRUCTIONS]["others"] = ordered
    for one in found.values():
        one["others"].sort()
    return dict(found)


def _sequence(file: Path) -> int:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        found: int = db.execute("SELECT sequence FROM replica").fetchone()[0]
    return found
