"""`python -m bench.millions`: millions of distinct users get a home, most of them in bulk and the
others one by one, against `homeport up`; and then what a restart, a backup, a compaction, looking
somebody up and draining a unit take at that size.

Writes figures as JSON, and the page of `homeport load`. Takes gigabytes: the folder is emptied
afterwards, unless --keep says otherwise. ETCD_BIN names the etcd to run.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bench.millions.etcd_upkeep import EtcdUpkeep
from bench.millions.observing import Observer
from bench.millions.stack import Stack, homeport
from console.cli.calls.fleet import FleetCalls
from console.cli.commands.clients import connect
from console.local.etcd_program import etcd_version, find_etcd

LOOKUPS = 5


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line. Raises SystemExit where it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.millions", description=__doc__)
    parser.add_argument("--users", type=int, default=100_000, help="distinct ones")
    parser.add_argument("--new", type=int, help="of them one by one; default: a fifth")
    parser.add_argument("--rate", type=float, default=500.0, help="of these, a second")
    parser.add_argument("--store", choices=("etcd", "embedded"), default="etcd")
    parser.add_argument("--folder", type=Path, required=True, help="must not be there")
    parser.add_argument("--output", type=Path, required=True, help="the figures, JSON")
    parser.add_argument("--report", type=Path, help="the page of homeport load")
    parser.add_argument("--port", type=int, default=17700, help="the first of ten")
    parser.add_argument("--drain", default="oceania", help="the unit that is drained at the end")
    parser.add_argument("--drain-rate", type=float, default=1_000.0, help="clients a second")
    parser.add_argument("--keep", action="store_true", help="leave the folder there")
    given = parser.parse_args(words)
    given.new = given.users // 5 if given.new is None else given.new
    if not 0 < given.new < given.users:
        parser.error("--new: at least one, and fewer than --users")
    return given


def timed(work: Callable[[], Any]) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    work()
    return round(time.monotonic() - began, 3)


class Run:
    """All of it, step by step; `figures` has what came of it so far."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._stack = Stack(given.folder, store=given.store, users=given.users, port=given.port)
        self.figures: dict[str, Any] = {
            "users": given.users, "unary": given.new, "bulk": given.users - given.new,
            "store": given.store, "machine": platform.platform(),
        }  # fmt: skip
        if given.store == "etcd":
            self.figures["etcd"] = str(etcd_version(find_etcd()))

    def make(self) -> None:
        """Raises RuntimeError and CalledProcessError where the load fails; of others, that they
        failed is among the figures. What was found until then is written."""
        stack = self._stack
        try:
            self.figures["start_s"] = round(stack.start(), 1)
            with Observer(
                stack.data, stack.pids, lambda: sum(stack.clients().values())
            ) as observer:
                try:
                    self._steps(observer)
                finally:
                    self.figures["looks"] = observer.document()
        finally:
            stack.stop()
            self._given.output.write_text(json.dumps(self.figures, indent=1) + "\n")

    def _steps(self, observer: Observer) -> None:
        steps: list[tuple[str, Callable[[], dict[str, Any]]]] = [
            ("load", self._load),
            ("look-up", self._look_up),
            ("backup", self._back_up),
            ("restart", self._restart),
            ("drain", self._drain),
        ]
        if self._given.store == "etcd":
            steps.insert(3, ("compaction", self._compact))
        observer.look()
        for name, step in steps:
            observer.phase = name
            say(f"{name} …")
            try:
                self.figures[name] = step()
            except Exception as error:  # the other steps are worth having
                if name == "load":
                    raise
                self.figures[name] = {"failed": f"{type(error).__name__}: {error}"}
                self.figures["failed"] = [*self.figures.get("failed", []), name]
                traceback.print_exc()
            self.figures[name]["after"] = len(observer.looks)
            observer.look()
            say(f"{name}: {json.dumps(self.figures[name])[:2_000]}")

    def _load(self) -> dict[str, Any]:
        """`homeport load`: users who are known get their homes in bulk, and only new ones come."""
        given = self._given
        # All that arrive are new, as many as the rest of the users.
        words = [
            "load", "--users", str(given.users), "--rate", str(given.rate),
            "--duration", f"{max(1, round(given.new / given.rate))}s", "--mix", "new=1",
            "--give-up-after", "30s", "--retries", "8", "-o", "json",
            "--metrics", self._stack.facts["metrics"],
        ]  # fmt: skip
        if given.report is not None:
            words += ["--report", str(given.report)]
        began = time.monotonic()
        usage: dict[str, float] = {}
        result = self._watched(words, usage)
        found = {
            "took_s": round(time.monotonic() - began, 1),
            "generator_mib": usage,
            "prepared": result["prepared"],
            "homeless": result["homeless"],
            "prepared_s": result["prepared_s"],
            "lasted_s": result["lasted_s"],
            "goodput_per_s": result["goodput_per_s"],
            "latency_ms": result["latency_ms"],
            "calls": result["calls"],
            "limits": result["limits"],
        }
        found["clients"] = sum(self._stack.clients().values())
        return found

    def _watched(self, words: list[str], usage: dict[str, float]) -> dict[str, Any]:
        """What a command says as JSON. usage: the most memory that it and each of its processes
        had, MiB."""
        running = subprocess.Popen(
            [*homeport(), *words], env=self._stack.environment(), stdout=subprocess.PIPE
        )
        whole = psutil.Process(running.pid)
        output = self._given.folder / "load.json"
        with output.open("wb") as kept:
            copying = threading.Thread(
                target=shutil.copyfileobj, args=(running.stdout, kept), daemon=True
            )
            copying.start()
            while running.poll() is None:
                try:
                    for number, one in enumerate([whole, *whole.children(recursive=True)]):
                        mib = one.memory_info().rss / (1 << 20)
                        usage[str(number)] = round(max(mib, usage.get(str(number), 0.0)), 1)
                except psutil.NoSuchProcess:
                    continue
                time.sleep(1.0)
            copying.join()
        if running.returncode:
            raise RuntimeError(f"homeport {' '.join(words)} ended with {running.returncode}")
        made: dict[str, Any] = json.loads(output.read_text())
        return made

    def _look_up(self) -> dict[str, Any]:
        """Counting, listing and finding clients."""
        stack = self._stack
        counts = stack.clients()
        unit = self._given.drain
        result = json.loads((self._given.folder / "load.json").read_text())
        client = f"load-{result['run']}-0"
        found: dict[str, Any] = {"clients_by_unit": counts}
        with FleetCalls(stack.target(), deadline_s=300.0) as calls:
            found["count_s"] = min(timed(calls.list_units) for _ in range(LOOKUPS))
            found["first_client_of_a_small_unit_s"] = timed(lambda: next(calls.unit_clients(unit)))
            listed: list[int] = []
            found["list_a_small_unit_s"] = timed(
                lambda: listed.append(sum(1 for _ in calls.unit_clients(unit)))
            )
            found["listed"] = listed[0]
            found["plan_drain_s"] = timed(lambda: calls.plan_drain(unit, revision=0))
        with connect(stack.target(), timeout_s=60.0) as service:
            found["get_s"] = min(timed(lambda: service.get(client)) for _ in range(LOOKUPS))
            found["explain_s"] = min(timed(lambda: service.explain(client)) for _ in range(LOOKUPS))
        found["get_command_s"] = timed(lambda: stack.command("get", client))
        return found

    def _back_up(self) -> dict[str, Any]:
        stack, path = self._stack, self._given.folder / "backup"
        words = ("backup", "store", str(path), "--config", str(stack.store_settings()))
        took = timed(lambda: stack.command(*words))
        size = path.stat().st_size
        path.unlink()
        return {"took_s": took, "mib": round(size / (1 << 20), 1)}

    def _compact(self) -> dict[str, Any]:
        upkeep = EtcdUpkeep(self._stack.facts)
        found: dict[str, Any] = {"before": upkeep.status()}
        found["compaction_s"] = round(upkeep.compact(), 2)
        found["compacted"] = upkeep.status()
        found["defragmentation_s"] = round(upkeep.defragment(), 2)
        found["after_it"] = upkeep.status()
        return found

    def _restart(self) -> dict[str, Any]:
        stack = self._stack
        before = sum(stack.clients().values())
        found: dict[str, Any] = {"stop_s": round(stack.stop(), 1)}
        found["start_s"] = round(stack.start(), 1)
        found["first_count_s"] = timed(stack.clients)
        if sum(stack.clients().values()) != before:
            raise RuntimeError("there are not as many clients after a restart as before")
        return found

    def _drain(self) -> dict[str, Any]:
        stack, unit = self._stack, self._given.drain
        clients = stack.clients()[unit]
        rate = str(self._given.drain_rate)
        took = timed(lambda: stack.command("units", "drain", unit, "--rate", rate, "--wait"))
        left = stack.clients()[unit]
        if left:
            raise RuntimeError(f"{left} clients are left in {unit}")
        return {"took_s": took, "unit": unit, "clients": clients}


def say(text: str) -> None:
    """On stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> int:
    given = parse()
    if given.folder.exists():
        print(f"{given.folder} is there; name one that is not", file=sys.stderr)
        return 2
    run = Run(given)
    try:
        run.make()
    finally:
        if not given.keep:
            shutil.rmtree(given.folder, ignore_errors=True)
    return 1 if run.figures.get("failed") else 0


if __name__ == "__main__":
    raise SystemExit(main())
