"""NATS servers of tests: who of them leads a stream, and who is killed because of it."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from console.local.nats_process import NatsCluster, NatsMember
from tests.support.decision_run import Publishing
from tests.support.fault_harness import Outcome
from tests.support.judge.verdict import Verdict
from tests.support.measurements import Measured

WITHIN_S = 60.0


def worker_arguments(cluster: NatsCluster, *, replicas: int, lease_s: float = 3.0) -> list[str]:
    """Of a data-sharing server that keeps everything there."""
    few = [] if replicas >= 3 else ["--feeds-allow-fewer"]
    return [
        *(f"--feeds={one}" for one in cluster.urls), f"--feeds-replicas={replicas}", *few,
        *(f"--feeds-monitoring={one.monitoring}" for one in cluster.members),
        f"--feeds-lease-s={lease_s:g}",
    ]  # fmt: skip


def leader_of(cluster: NatsCluster, stream: str) -> NatsMember:
    """The member that leads a stream, as those that run say. Raises AssertionError."""
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        for asked in cluster.members:
            name = _leader(asked, stream) if asked.pid is not None else ""
            for member in cluster.members:
                if member.name == name and member.pid is not None:
                    return member
        time.sleep(0.1)
    raise AssertionError(f"nobody leads {stream}")


def _leader(member: NatsMember, stream: str) -> str:
    try:
        with urllib.request.urlopen(f"{member.monitoring}/jsz?streams=true", timeout=5) as answer:
            facts = json.load(answer)
    except OSError:
        return ""
    for account in facts.get("account_details", []):
        for one in account.get("stream_detail", []):
            if one["name"] == stream:
                return str(one.get("cluster", {}).get("leader", ""))
    return ""


def outcome_of(run: Publishing, before: Outcome | None = None) -> Outcome:
    """What a run came to, and those before it."""
    measured = Measured(requests=run.batches, failed=0, writes=run.answered)
    measured.calls = [(at, at, "publish", False) for at in run.answered]
    verdict = Verdict()
    if before is not None:
        measured.requests += before.measured.requests
        verdict = before.verdict
    return Outcome(verdict=verdict, measured=measured)


@contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Runs `work` in a thread of its own until the body is over; what it raises is raised then."""
    over, failures = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            work(over)
        except BaseException as failure:  # noqa: BLE001  # raised again below
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    for failure in failures:
        raise failure
