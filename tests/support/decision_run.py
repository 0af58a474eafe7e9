"""A data-sharing server that is killed while it decides, and what it had decided in the end.

The same events, rules and plans go through a server that is killed and one that is not; what
both have on disk, but for when it happened, must be the same.
"""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import msgspec

from data_sharing.rules.rule_health import RuleHealth
from homeport.api.cloudevents.v1 import cloudevents_pb2
from homeport.api.datasharing.v1 import feed_pb2 as feeds
from homeport.api.datasharing.v1 import (
    feed_pb2_grpc,
    plan_pb2,
    plan_pb2_grpc,
    registry_pb2_grpc,
    rule_pb2,
    rule_pb2_grpc,
)
from tests.support.data_sharing_server import SharingServer, submission

SENSOR = json.dumps(
    {
        "application": "sensor",
        "version": "1.0.0",
        "produces": [
            {
                "type": "sensor.reading",
                "key": "/subject",
                "schema": {
                    "type": "object",
                    "required": ["value"],
                    "properties": {"value": {"type": "number"}, "note": {"type": "string"}},
                },
                "samples": [{"subject": "s", "data": {"value": 1}}],
                "shared_with": "everyone",
            }
        ],
    }
)
# One rule of each kind: stateless with a plan, a forecast, a window, an instruction, and one
# that fails where `note` is there and no number.
RULES = """
forecasts:
  - {forecast: level, feed: sensor.reading, value: event.data.value, half_life: 1h}
rules:
  - rule: shift
    watch: {r: {feed: sensor.reading}}
    plan: {}
    when: r.data.value > 50.0
    do: [{change: {config: {heating: {minutes: "int(r.data.value)"}}}}]
  - rule: rising
    watch: {r: {feed: sensor.reading}}
    when: r.data.value > 90.0 && forecast.level.count > 3
    do: [{invoke: {application: nobody, action: none, config: {n: "forecast.level.count"}}}]
  - rule: often
    watch: {r: {feed: sensor.reading, where: event.data.value > 80.0}}
    windows: {last: {over: 10m}}
    when: window.last.count >= 3
    do: [{invoke: {application: nobody, action: none, deadline: 30d}}]
  - rule: poison
    watch: {r: {feed: sensor.reading}}
    when: has(r.data.note) && int(r.data.note) > 0
    park_after: 5
    retry_after: 7d
    retry_at_most: 7d
    do: [{invoke: {application: nobody, action: none}}]
"""
PLAN = json.dumps(
    {
        "plan": "home",
        "owner": "key-1",
        "at": "2027-06-01T09:00:00",
        "actions": {"heating": {"application": "nobody", "action": "heat", "config": {}}},
    }
)
_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
BATCH = 500
START_S = 1_795_000_000


def reading(
    number: int, *, poison_every: int = 997, filling: int = 0
) -> cloudevents_pb2.CloudEvent:
    """The same event for the same number, always. filling: bytes in it that no rule reads."""
    data: dict[str, Any] = {"value": (number * 7919) % 10_007 / 100.07}
    if filling:
        data["filling"] = "x" * filling
    if number % poison_every == poison_every - 1:
        data["note"] = "not a number"
    event = cloudevents_pb2.CloudEvent(
        id=f"e-{number}",
        source="/sensor",
        spec_version="1.0",
        type="sensor.reading",
        text_data=json.dumps(data),
    )
    event.attributes["subject"].ce_string = f"key-{number % 50}"
    event.attributes["time"].ce_timestamp.seconds = START_S + number // 10
    return event


class Publishing:
    """Publishes events 0 to `count` in batches to a server that may die at any time, each batch
    until it is answered; starts the server anew when it is gone."""

    def __init__(
        self,
        folder: Path,
        count: int,
        environment: Mapping[str, str] | None = None,
        *,
        arguments: Sequence[str] = (),
        successors: Sequence[Path] = (),
        within_s: float = 60.0,
        pause_s: float = 0.0,
        batch: int = BATCH,
        filling: int = 0,
    ) -> None:
        """arguments: of the server, besides; successors: folders on which it is started anew, in
        turn, instead of its own; within_s: for one batch to be answered; pause_s: between two;
        batch: events in one; filling: bytes in the first event of each that no rule reads."""
        self._folders = [folder, *successors]
        for one in self._folders:
            one.mkdir(parents=True, exist_ok=True)
        self._arguments = arguments
        self._within_s, self._pause_s, self._size = within_s, pause_s, batch
        self._filling = filling
        self.answered: list[float] = []  # when each batch was, monotonic s
        self.count = count
        self._environment = environment
        self.deaths = 0
        self.turned_away = 0  # calls that a server ended which went on
        self.batches = 0
        self.ended: int | None = None  # exit code of the server that ran last

    def _server(self, environment: Mapping[str, str] | None) -> SharingServer:
        # The events' times are fixed, and must not come to be too old with the years.
        return SharingServer(
            self.folder, "--max-late-s=9e9", "--max-ahead-s=9e9", *self._arguments,
            environment=environment,
        )  # fmt: skip

    @property
    def folder(self) -> Path:
        """Of the server that runs, or ran last."""
        return self._folders[self.deaths % len(self._folders)]

    def run(
        self,
        *,
        kill_at: set[int] = frozenset(),
        plan: str = PLAN,
        kill_at_end: bool = False,
        with_server: Callable[[SharingServer], None] = lambda server: None,
        before_end: Callable[[SharingServer], None] = lambda server: None,
    ) -> None:
        """`kill_at`: numbers of batches at which the server is killed while it has them.
        kill_at_end: it does not stop in order. with_server: called before anything is
        published; before_end: when all is."""
        server = self._server(None).__enter__()
        with grpc.insecure_channel(server.address) as channel:
            self.set_up(channel, plan)
        if self._environment:
            server.__exit__()
            server = self._armed()
        with_server(server)
        self._publish(server, 0, kill_at, kill_at_end=kill_at_end, before_end=before_end)

    def _armed(self) -> SharingServer:
        """A server in the environment; its successor, where it has killed itself before it
        served."""
        server = self._server(self._environment)
        try:
            return server.__enter__()
        except AssertionError:
            if server.process.returncode != -signal.SIGKILL:
                raise
        self.deaths += 1
        return self._server(None).__enter__()

    def go_on(
        self,
        start: int,
        *,
        kill_at_end: bool = False,
        with_server: Callable[[SharingServer], None] = lambda server: None,
        before_end: Callable[[SharingServer], None] = lambda server: None,
    ) -> None:
        """The same from event `start` on, on what another run has left."""
        server = self._server(self._environment).__enter__()
        with_server(server)
        self._publish(server, start, frozenset(), kill_at_end=kill_at_end, before_end=before_end)

    def _publish(
        self,
        server: SharingServer,
        first: int,
        kill_at: set[int] | frozenset[int],
        *,
        kill_at_end: bool,
        before_end: Callable[[SharingServer], None],
    ) -> None:
        try:
            for start in range(first, self.count, self._size):
                server = self._batch(server, start, kill=start // self._size in kill_at)
                self.batches += 1
                self.answered.append(time.monotonic())
                time.sleep(self._pause_s)
            before_end(server)
            if kill_at_end:
                server.kill()
        finally:
            server.__exit__()
            self.ended = server.process.returncode

    def _batch(self, server: SharingServer, start: int, *, kill: bool) -> SharingServer:
        numbers = range(start, min(start + self._size, self.count))
        request = feeds.PublishBatchRequest(
            events=(
                reading(number, filling=0 if number > start else self._filling)
                for number in numbers
            )
        )
        while True:
            with grpc.insecure_channel(server.address) as channel:
                call = feed_pb2_grpc.FeedServiceStub(channel).PublishBatch.future(
                    request, timeout=self._within_s
                )
                if kill:
                    time.sleep(0.002 * (start % 7))
                    server.kill()
                    kill = False
                try:
                    answer = call.result()
                except grpc.RpcError as error:
                    if error.code() not in _GONE:  # type: ignore[attr-defined]
                        raise
                else:
                    assert [one for one in answer.results if one.HasField("error")] == []
                    if server.process.poll() is None:
                        return server
            try:
                server.process.wait(5)
            except subprocess.TimeoutExpired:
                self.turned_away += 1
                continue
            self.deaths += 1
            server = self._server(None).__enter__()

    @staticmethod
    def send(server: SharingServer, numbers: range, *, within_s: float) -> grpc.StatusCode | None:
        """What one batch was answered; None: it is kept."""
        request = feeds.PublishBatchRequest(events=map(reading, numbers))
        with grpc.insecure_channel(server.address) as channel:
            try:
                feed_pb2_grpc.FeedServiceStub(channel).PublishBatch(request, timeout=within_s)
            except grpc.RpcError as error:
                code: grpc.StatusCode = error.code()  # type: ignore[attr-defined]
                return code
        return None

    @staticmethod
    def set_up(channel: grpc.Channel, plan: str) -> None:
        """Applies what there is to decide by."""
        registry = registry_pb2_grpc.ApplicationRegistryStub(channel)
        answer = registry.SubmitApplication(submission(SENSOR), timeout=60)
        assert answer.WhichOneof("result") == "accepted", answer
        rule_pb2_grpc.RuleServiceStub(channel).ApplyRules(
            rule_pb2.ApplyRulesRequest(document=RULES), timeout=60
        )
        plan_pb2_grpc.PlanServiceStub(channel).CreatePlan(
            plan_pb2.CreatePlanRequest(spec=plan), timeout=60
        )

    def left(self) -> dict[str, Any]:
        """What is on disk, but for when it happened."""
        with sqlite3.connect(self.folder / "data" / "sharing.db") as db:
            told = {name: list(_rows(db, text)) for name, text in _TOLD.items()}
            told["dead"] = [(kind, _TIME.sub("", why), *rest) for kind, why, *rest in told["dead"]]
            return told | {"cells": [_timeless(row) for row in _rows(db, _CELLS)]}


_TOLD = {
    "events": "SELECT source, id FROM feed_events ORDER BY row",
    "decided": "SELECT tenant, position FROM decided",
    "decisions": "SELECT id, kind, position, rule, plan FROM decisions ORDER BY row",
    "judged": "SELECT tenant, position FROM judgements",
    "instructions": "SELECT id, state, reason FROM instructions ORDER BY row",
    "dead": "SELECT kind, reason, instruction, rule, source, event, position FROM dead_letters"
    " ORDER BY kind, row",  # undelivered instructions come between events as the clock has it
    "timers": "SELECT id FROM timers ORDER BY id",
    "changes": "SELECT tenant, plan, version, id FROM plan_changes ORDER BY 1, 2, 3",
}


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")  # since when a rule is parked
_CELLS = "SELECT tenant, kind, name, key, content FROM cells ORDER BY 1, 2, 3, 4"


def _timeless(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A cell, without the times at which a rule's newest event was accepted and failures were."""
    *name, content = row
    if name[1] == "rule":
        content = msgspec.msgpack.decode(content)
        content[1] = 0
    elif name[1] == "health":
        health = msgspec.msgpack.decode(content, type=RuleHealth)
        for row in health.rows.values():
            row.last_ms = row.retry_ms = 0
            row.parked_ms = None if row.parked_ms is None else 0
        content = health
    return (*name, content)


def _rows(db: sqlite3.Connection, text: str) -> Iterator[tuple[Any, ...]]:
    yield from db.execute(text)
