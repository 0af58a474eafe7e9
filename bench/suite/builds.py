"""Two builds of Homeport beside each other, asked in turns: this one, and the same from its sources
alone (`compiled_vs_pure`), or one in another folder (`--against PATH`).

By processor time, which hardly depends on who else uses the processors, of a pair at a time: ours,
theirs, theirs, ours, and the next the other way round. A call of a new client, over the embedded
store and without transport, and a decision are each measured in a process of the build's own code;
then a server of each build stands on one etcd and gives clients their homes.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.load.load_processes import LoadProcesses
from bench.load.results import LoadResult
from bench.suite.measurement import Measurement, Ratio, Samples, Skipped
from bench.suite.observing import PACKAGES, calls_in
from bench.suite.pairs import Side, ask_in_pairs
from bench.suite.processes import etcd, provisioner, scratch
from bench.suite.unary import check_provisioned
from bench.workloads import Provisions
from control_plane.compiled_modules import are_compiled

ROOT = Path(__file__).parents[2]
IN_PROCESS: Mapping[str, str] = {
    "call": "bench.load.in_process_calls",
    "decision": "bench.load.in_process_decisions",
}
PAIRS = 4  # a round, of each
COUNT = 2_000  # clients of a load process and run, of servers


def sources_alone(root: Path, folder: Path) -> Path:
    """A copy of the code in `root` without anything that was compiled of it."""
    for package in (*PACKAGES, "data-sharing"):
        shutil.copytree(
            root / package, folder / package,
            ignore=shutil.ignore_patterns("results", "*.so", "__pycache__"),
        )  # fmt: skip
    return folder


def in_turns(
    samples: Samples, ours: Mapping[str, Callable[[], float]], *, name: str, pairs: int
) -> None:
    """ours: two builds by name. Adds `<build>_<name>_us`, one value a pair."""
    first, second = ours
    for number in range(pairs):
        order = (
            (first, second, second, first) if number % 2 == 0 else (second, first, first, second)
        )
        took: dict[str, list[float]] = {first: [], second: []}
        for build in order:
            took[build].append(ours[build]())
        for build, values in took.items():
            samples.add(f"{build}_{name}_us", sum(values) / len(values))


def _in_process(
    roots: Mapping[str, Path], samples: Samples, rounds: int, pairs: int, tick: Callable[[], None]
) -> None:
    for name, module in IN_PROCESS.items():
        with ExitStack() as stack:
            runs = {
                build: stack.enter_context(calls_in(root, module)) for build, root in roots.items()
            }
            in_turns(Samples(), runs, name=name, pairs=1)  # warms everything up
            for _ in range(rounds):
                in_turns(samples, runs, name=name, pairs=pairs)
                tick()


def _servers(
    roots: Mapping[str, Path], samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]
) -> None:
    count = COUNT // (5 if quick else 1)

    def ask(load: LoadProcesses, address: str) -> LoadResult:
        work = Provisions(run=secrets.token_hex(4), count=count)
        return check_provisioned(load.run(address, work), existing=False)

    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        url = stack.enter_context(etcd(folder))
        load = stack.enter_context(LoadProcesses())
        sides = []
        for build, root in roots.items():
            server = stack.enter_context(provisioner(url, "auto", folder, root=root))
            run = partial(ask, load, server["grpc"])
            sides.append(Side(name=f"{build}_server", pid=int(server["pid"]), run=run))
        ask_in_pairs(Samples(), *sides, pairs=1)
        for _ in range(rounds):
            ask_in_pairs(samples, *sides)
            tick()


def measure_compiled(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Without servers: how much of one is Python, other ratios tell."""
    if not are_compiled():
        raise Skipped("nothing is compiled here; `make compiled`, and measure again")
    with scratch() as folder:
        roots = {"compiled": ROOT, "pure": sources_alone(ROOT, folder)}
        _in_process(roots, samples, rounds, 2 if quick else PAIRS, tick)


def _us(builds: Iterable[str]) -> dict[str, str]:
    return {
        f"{build}_{name}_us": f"us of the processor a {name}"
        for build in builds
        for name in IN_PROCESS
    }


COMPILED = Measurement(
    name="compiled and pure",
    ratios=(
        Ratio(key="compiled_vs_pure", ours="pure_call_us", ceiling="compiled_call_us",
              target=1.5, paired=True),
        Ratio(key="compiled_decision_vs_pure", ours="pure_decision_us",
              ceiling="compiled_decision_us", target=1.5, paired=True),
    ),
    units=_us(("compiled", "pure")),
    run=measure_compiled,
    steps=lambda rounds: rounds * len(IN_PROCESS),
)  # fmt: skip


def against(other: Path) -> Measurement:
    """This build and that of another folder, a working copy of Homeport: ratios above 1 say that
    this one is cheaper. What runs there is the other one's code, on this one's packages."""

    def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
        roots = {"this": ROOT, "other": other.resolve()}
        _in_process(roots, samples, rounds, 2 if quick else PAIRS, tick)
        _servers(roots, samples, rounds, quick, tick)

    def cheaper(name: str, figure: str) -> Ratio:
        return Ratio(key=name, ours=f"other_{figure}", ceiling=f"this_{figure}", target=None,
                     paired=True)  # fmt: skip

    servers = {
        f"{build}_server_{kind}": unit
        for build in ("this", "other")
        for kind, unit in (
            ("per_s", "clients/s"), ("cpu_us", "us of the server's processors a client"),
            ("p99_ms", "ms at 256 in flight"),
        )
    }  # fmt: skip
    return Measurement(
        name=f"against {other}",
        ratios=(
            cheaper("call_cheaper", "call_us"),
            cheaper("decision_cheaper", "decision_us"),
            cheaper("server_cheaper", "server_cpu_us"),
            Ratio(key="server_faster", ours="this_server_per_s", ceiling="other_server_per_s",
                  target=None, paired=True),
        ),
        units=_us(("this", "other")) | servers,
        run=measure,
        steps=lambda rounds: rounds * (len(IN_PROCESS) + 1),
    )  # fmt: skip
