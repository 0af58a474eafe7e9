"""NATS is away for longer than a change of its leader takes: a program that publishes with the SDK
goes on and keeps what has no answer, a caller over HTTP waits for its answer, and in the end every
event is there once, in the order of who published it."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from console.local.nats_process import NatsCluster
from tests.support.data_sharing_server import SharingServer
from tests.support.decision_run import Publishing, reading
from tests.support.fault_harness import Outcome
from tests.support.judge.verdict import Verdict
from tests.support.measurements import Measured
from tests.support.nats_servers import worker_arguments
from tests.support.producer import Producer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

AWAY_S = 15.0
FIRST = 1_000_000  # number of the first event over HTTP
ANSWER_S = 120.0


def test_who_publishes_while_nats_is_away_is_answered_afterwards(tmp_path: Path, record) -> None:
    with NatsCluster(tmp_path / "nats") as cluster:
        (member,) = cluster.members
        on = worker_arguments(cluster, replicas=1)
        Publishing(tmp_path, 0, arguments=on).run()  # applications, rules and a plan
        with SharingServer(tmp_path, *on, "--max-late-s=9e9") as server:
            producer = Producer(server.address)
            over, answers, failures = threading.Event(), list[float](), list[str]()
            posting = threading.Thread(target=post_all, args=(server, over, answers, failures))
            posting.start()
            try:
                producer.more(50)
                member.kill()
                began, before = time.monotonic(), producer.unanswered
                while time.monotonic() < began + AWAY_S:  # what comes meanwhile is kept
                    time.sleep(0.1)
                kept = producer.unanswered - before
                cluster.restart(member)
                producer.more(50)
            finally:
                over.set()
                posting.join()
                found = producer.stop()
    events = Publishing(tmp_path, 0).left()["events"]
    names = [name for _, name in events]
    verdict = Verdict(answers=len(found) + len(answers))
    for who, sent in (
        ("the SDK", [f"e-{number}" for number in range(len(found))]),
        ("HTTP", [f"e-{FIRST + number}" for number in range(len(answers))]),
    ):
        if [name for name in names if name in set(sent)] != sent:
            verdict.accuse("once", 0, who, "events are not those that were published, in order")
    record(
        f"NATS away for {AWAY_S:.0f} s while programs publish by the SDK and over HTTP; {kept}"
        f" events kept by the SDK meanwhile, a caller over HTTP answered after"
        f" {max(answers):.0f} s; each there once, in order",
        Outcome(verdict=verdict, measured=Measured(requests=len(names), failed=len(failures))),
    )
    assert verdict.broken == 0, verdict
    assert failures == []
    assert len(names) == len(found) + len(answers)
    assert kept > 100
    assert max(answers) > AWAY_S / 2


def post_all(
    server: SharingServer, over: threading.Event, answers: list[float], failures: list[str]
) -> None:
    """Events over HTTP, one after the other; how long each took to be answered, s."""
    while not over.wait(0.1):
        event = reading(FIRST + len(answers))
        headers = {
            "ce-specversion": "1.0", "ce-id": event.id, "ce-source": event.source,
            "ce-type": event.type, "ce-subject": event.attributes["subject"].ce_string,
            "content-type": "application/json",
        }  # fmt: skip
        request = urllib.request.Request(
            f"http://{server.http}/v1/tenants/default/events",
            event.text_data.encode(),
            headers,
            method="POST",
        )
        began = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
                assert "position" in json.load(answer)
        except OSError as error:
            failures.append(str(error))
            continue  # the same event again
        answers.append(time.monotonic() - began)
