"""What a new client's call costs for being observed: metrics, and tracing that is off.

The code as it is runs next to copies of it that have the lines for metrics, or those for tracing,
taken out, in turns, each in a process of its own; the difference is what these lines take of the
event loop's thread. It is held against what a server on etcd uses of processors for a client. Only
lines that every call passes are taken out: what is done ten times a second, or for a transaction,
is shared by hundreds of calls.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load.load_processes import LoadProcesses
from bench.suite.measurement import Failed, Measurement, Ratio, Samples
from bench.suite.pairs import cpu_s
from bench.suite.processes import STOP_WITHIN_S, etcd, provisioner, scratch
from bench.suite.unary import check_provisioned
from bench.workloads import Provisions

PACKAGES = (
    "bench",
    "console",
    "control_plane",
    "deployment_units",
    "provisioner",
    "sdk",
    "simulation",
)
TURNS = 10  # of each copy, in a round
COUNT = 4_000  # clients of a load process and round, of the server on etcd


@dataclass(frozen=True, slots=True)
class Cut:
    """Lines of a file that are replaced."""

    file: str
    lines: str
    by: str = ""


_USE_CASE = "provisioner/provisioning/provisioner.py"
CUTS: Mapping[str, Sequence[Cut]] = {
    "metrics": (
        Cut(
            "control_plane/serving/native_call.py",
            """\
        took_s = monotonic() - self._began
        seconds = self._statistics.seconds  # `observe`, which is called for every client
        seconds.counts[bisect_left(seconds.bounds, took_s)] += 1
        seconds.total += took_s
""",
        ),
        Cut(
            "provisioner/api/provision_calls.py",
            """\
        steps.open = False
        if steps.due:
            steps.begin()
""",
        ),
        Cut(
            _USE_CASE,
            """\
        sampled = steps.open
        if sampled:
            steps.done(Step.ADMIT)
""",
        ),
        Cut(
            _USE_CASE,
            """\
        if sampled:
            steps.located()
""",
        ),
        Cut(
            _USE_CASE,
            """\
        try:
            self.begin(pending)
        finally:
            if sampled:
                steps.active = False
""",
            "        self.begin(pending)\n",
        ),
        Cut(
            _USE_CASE,
            """\
        if self.steps.active:
            self.steps.decided(pending)
""",
        ),
        Cut(
            _USE_CASE,
            """\
        sampled = pending is self.steps.pending
        if sampled:
            self.steps.done(Step.RECORD)
""",
        ),
        Cut(
            _USE_CASE,
            """\
        if sampled:
            self.steps.answered()
""",
        ),
        Cut(
            _USE_CASE,
            """\
        took_ms = (self._turn_ms or self.turn_ms()) - pending.at_ms
        if 0 <= took_ms <= TOP_MS:  # 5 us is all that a client of a batch takes
            self.new_times.counts[took_ms] += 1
        else:
            self.new_times.observe_ms(took_ms)
""",
        ),
    ),
    "tracing": (
        Cut(
            _USE_CASE,
            """\
        if self.traces_calls and kind is SingleProvision:  # all that it costs untraced
            span = span_of(sink)
            if span is not None:
                begin_traced(
                    self, span, tenant, client_id, address, position, sink,
                    proof=proof, with_ticket=with_ticket, timeout_s=timeout_s,
                    attributes=attributes,
                )  # fmt: skip
                return
""",
        ),
        Cut(
            "provisioner/ledger/commit_queue.py",
            "        span = None if self.tracer is None else begin_commit(self.tracer, claims)\n",
            "        span = None\n",
        ),
    ),
}


def without(cuts: Sequence[Cut], root: Path, copy: Path) -> None:
    """A copy of the code in `root` with these lines taken out. Raises Failed where they are not
    there exactly once: then they have changed, and have to be changed here."""
    for package in PACKAGES:
        shutil.copytree(
            root / package, copy / package, ignore=shutil.ignore_patterns("results", "*.so")
        )  # what is compiled of it has the lines still
    for cut in cuts:
        file = copy / cut.file
        text = file.read_text()
        if text.count(cut.lines) != 1:
            raise Failed(f"{cut.file} has not exactly once what is to be taken out:\n{cut.lines}")
        file.write_text(text.replace(cut.lines, cut.by))


@contextmanager
def calls_in(
    root: Path, module: str = "bench.load.in_process_calls"
) -> Iterator[Callable[[], float]]:
    """A process of this code; calling makes a run of calls: microseconds of the loop's thread.
    module: another one that answers "go" with a number."""
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'sdk'}"}
    running = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=root, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert running.stdin is not None
    assert running.stdout is not None
    tell, told = running.stdin, running.stdout

    def run() -> float:
        tell.write("go\n")
        tell.flush()
        line = told.readline()
        if not line:
            raise Failed("the process that makes calls ended; its traceback is above")
        return float(line)

    try:
        yield run
    finally:
        tell.close()
        try:
            running.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        told.close()


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """All copies stand throughout and are asked in turns, forwards and backwards."""
    turns, count = (TURNS // 3, COUNT // 5) if quick else (TURNS, COUNT)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        root = Path(__file__).parents[2]
        cut: Mapping[str, Sequence[Cut]] = {"": (), **CUTS}
        roots = {name: folder / (name or "whole") for name in cut}
        for name, cuts in cut.items():
            without(cuts, root, roots[name])
        run = {name: stack.enter_context(calls_in(at)) for name, at in roots.items()}
        url = stack.enter_context(etcd(folder))
        server = stack.enter_context(provisioner(url, "auto", folder))
        load = stack.enter_context(LoadProcesses())
        for number in range(-1, rounds):  # round -1 warms everything up
            into = samples if number >= 0 else Samples()
            before = cpu_s(int(server["pid"]))
            work = Provisions(run=secrets.token_hex(4), count=count)
            good = check_provisioned(load.run(server["grpc"], work), existing=False).good
            client_us = (cpu_s(int(server["pid"])) - before) / good * 1e6
            took: dict[str, list[float]] = {name: [] for name in roots}
            for turn in range(turns):
                for name in sorted(roots, reverse=bool(turn % 2)):
                    took[name].append(run[name]())
            # The least: whatever else the machine does can only add to it.
            least = {name: min(values) for name, values in took.items()}
            into.add("observed_client_cpu_us", client_us)
            into.add("observed_call_us", least[""])
            for name in CUTS:
                into.add(f"{name}_us", least[""] - least[name])
            tick()


OBSERVING = Measurement(
    name="being observed",
    ratios=(
        Ratio(key="metrics_vs_client", ours="metrics_us", ceiling="observed_client_cpu_us",
              target=0.01, at_least=False),
        Ratio(key="tracing_off_vs_client", ours="tracing_us", ceiling="observed_client_cpu_us",
              target=0.02, at_least=False),
    ),
    units={
        "metrics_us": "us a call", "tracing_us": "us a call, tracing off",
        "observed_call_us": "us of the event loop a call, embedded store, no transport",
        "observed_client_cpu_us": "us of the server's processors a client",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
