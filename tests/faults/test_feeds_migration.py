"""A service moves to NATS and back, and to a new version, by the commands of its page and in their
order, while a producer goes on: every event is there once, in its order, and decided once."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from console.local.etcd_process import free_ports
from console.local.nats_process import NatsCluster
from tests.support.data_sharing_server import SharingServer
from tests.support.decision_run import Publishing
from tests.support.fault_harness import Outcome
from tests.support.judge.verdict import Verdict
from tests.support.measurements import Measured
from tests.support.nats_servers import worker_arguments
from tests.support.producer import Producer
from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "feeds-on-nats.md"
EACH = 150  # events, at least, while one server serves
WITHIN_S = 180.0


def commands_of(page: str, heading: str) -> list[list[str]]:
    """The command lines of a section, in order."""
    section = re.split(r"^## ", page.partition(f"## {heading}\n")[2], flags=re.MULTILINE)[0]
    return [shlex.split(line) for line in re.findall(r"^    (homeport .*)$", section, re.MULTILINE)]


def test_the_page_has_the_commands_of_both_ways() -> None:
    commands = commands_of(PAGE.read_text(), "Moving")
    assert ["--feeds" in one for one in commands] == [False, True, True, False, False]
    assert [one[:4:3] for one in commands] == [
        ["homeport", folder] for folder in ("/srv/one",) * 2 + ("/srv/two",) * 3
    ]


def test_a_service_moves_there_and_back_while_events_come(tmp_path: Path, record) -> None:
    (port,) = free_ports(1)
    listen = f"--listen=127.0.0.1:{port}"
    with NatsCluster(tmp_path / "nats", members=3) as cluster:
        commands = [
            [on_this_machine(word, tmp_path, cluster) for word in command[2:]]
            for command in commands_of(PAGE.read_text(), "Moving")
        ]
        Publishing(tmp_path / "one", 0).run()  # applications, rules and a plan
        producer = Producer(f"127.0.0.1:{port}")
        try:
            with ExitStack() as running:
                embedded, there, second, back, again = commands
                with begun(tmp_path, "embedded", [*embedded, listen]):
                    producer.more(EACH)
                first = running.enter_context(begun(tmp_path, "there", [*there, listen]))
                waiting = begun(tmp_path, "second", [*second, listen])
                running.callback(waiting.kill)
                producer.more(EACH)
                first.__exit__()  # the other one has it now
                waiting.__enter__()
                producer.more(EACH)
                waiting.__exit__()
            with begun(tmp_path, "back", [*back, listen]):
                producer.more(EACH)
            with begun(tmp_path, "again", [*again, listen]):
                producer.more(EACH)
                found = producer.stop()
        finally:
            producer.stop()
    count = len(found)
    left = Publishing(tmp_path / "two", count).left()
    reference = reference_of(tmp_path / "reference", count)
    verdict = Verdict(answers=count)
    for what in ("events", "decided", "judged", "decisions", "dead", "changes"):
        if left[what] != reference[what]:
            verdict.accuse("once", 0, what, "what is left differs")
    if [one.position for one in found] != list(range(1, count + 1)):
        verdict.accuse("once", 0, "answers", "positions are not the events' order")
    record(
        f"a service moved to NATS, to a second server there, and back, while {count:,} events came;"
        " each kept and decided once, in order",
        Outcome(verdict=verdict, measured=Measured(requests=count, failed=0)),
    )
    assert verdict.broken == 0, verdict


def on_this_machine(word: str, folder: Path, cluster: NatsCluster) -> str:
    """What a page calls machines and folders, as they are here."""
    if word.startswith("/srv/"):
        return str(folder / word.removeprefix("/srv/") / "data")
    if word.startswith("nats://"):
        return ",".join(cluster.urls)
    return cluster.members[0].monitoring if word.startswith("http://") else word


def begun(folder: Path, name: str, arguments: Sequence[str], program: str = "data_sharing"):
    """`homeport share` with these arguments."""
    more = ("--http-listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", "--max-late-s=9e9")
    return ServerProcess(
        folder, name, ("-m", program, *arguments, *more), start_within_s=WITHIN_S
    )  # fmt: skip


def reference_of(folder: Path, count: int) -> dict[str, object]:
    """What a server leaves that stayed where it was."""
    run = Publishing(folder, 0)
    run.run()
    with SharingServer(folder, "--max-late-s=9e9", "--max-ahead-s=9e9") as server:
        producer = Producer(server.address, most=count)
        producer.more(count)
        producer.stop()
    return run.left()


def test_a_new_version_follows_one_that_stopped_in_order(tmp_path: Path, record) -> None:
    """On a folder with an older file, and on one with none; not one that was killed."""
    with NatsCluster(tmp_path / "nats") as cluster:
        on = worker_arguments(cluster, replicas=1, lease_s=1.0)
        half = Publishing(tmp_path / "one", 400, arguments=on, batch=100)
        half.run()
        older = Publishing(tmp_path / "two", 800, arguments=on, batch=100)
        older.go_on(400)
        killed = Publishing(tmp_path / "one", 1_000, arguments=on, batch=100)
        killed.go_on(800, kill_at_end=True)
        refused = begun(tmp_path, "refused", ["--data-dir", str(tmp_path / "two" / "data"), *on],
                        "tests.support.newer_sharing")  # fmt: skip
        try:
            assert refused.process.wait(WITHIN_S) != 0
            assert "was made by another version" in refused.log()
        finally:
            refused.kill()
        Publishing(tmp_path / "one", 1_000, arguments=on).go_on(1_000)  # once more, in order
        for name in ("two", "three"):
            (tmp_path / name).mkdir(exist_ok=True)
            arguments = ["--data-dir", str(tmp_path / name / "data"), *on]
            with begun(tmp_path, f"new-{name}", arguments, "tests.support.newer_sharing"):
                pass
        left = Publishing(tmp_path / "three", 0).left()
    reference = Publishing(tmp_path / "reference", 1_000, batch=100)
    reference.run()
    verdict = Verdict()
    if left != reference.left():
        verdict.accuse("once", 0, "version", "what is left differs")
    record(
        "feeds on NATS: a new version after the last server stopped in order, on an older file and"
        " on none; after one that was killed it refuses",
        Outcome(verdict=verdict, measured=Measured(requests=10, failed=0)),
    )
    assert verdict.broken == 0
