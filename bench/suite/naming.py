"""The directory through its API: handles that are claimed, and looked up, on both transports.

Claims: an account's home asks for it, the claim is durable in etcd; 64 in flight. The ceiling: bare
transactions over the four keys of a claim, one by one, as many in flight, on the same etcd.

Lookups: a unit resolves handles for viewers who live there, and gets an introduction with each; all
that is read was read before. The ceiling: a bare grpc.aio echo. All of them in turns.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.ceilings import raw_claims
from bench.load.load_processes import LoadProcesses
from bench.load.results import LoadResult
from bench.suite.measurement import WARM_UP, Failed, Measurement, Ratio, Samples, divisor
from bench.suite.pairs import cpu_s
from bench.suite.processes import apply_fleet, echo, etcd, provisioner, roomy_fleet, scratch
from bench.suite.unary import check_echo
from bench.workloads import ECHO, Claims, Provisions, Resolves
from homeport.api.directory.v1 import directory_pb2 as pb

PROCESSES = 2
CLAIMS_IN_FLIGHT = 64
CLAIMED = {"": 6_000, "_grpcio": 3_000}  # a round, by transport
RAW = 6_000
RESOLVED = {"": 16_000, "_grpcio": 6_000}  # a round, by transport
ECHOED = 14_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """One that is asked. suffix: of its figures."""

    grpc: str
    pid: int
    suffix: str


def check_good(result: LoadResult, what: str) -> LoadResult:
    """Raises Failed unless every call was answered."""
    if result.errors or not result.kept:
        raise Failed(f"{what}: {result.errors or 'no call was answered'}")
    return result


def check_claimed(result: LoadResult) -> LoadResult:
    """Raises Failed unless every account has its handle, each another one."""
    answers = [pb.ClaimHandleResponse.FromString(one) for one in check_good(result, "claims").kept]
    if len({one.handle for one in answers}) != len(answers) or not all(
        one.revision for one in answers
    ):
        raise Failed("a claim was answered wrongly")
    return result


def check_resolved(result: LoadResult) -> LoadResult:
    """Raises Failed unless every lookup led to one account, with an introduction."""
    for one in check_good(result, "lookups").kept:
        answer = pb.ResolveResponse.FromString(one)
        if [bool(at.introduction) for at in answer.residences] != [True]:
            raise Failed(f"a lookup was answered wrongly: {answer}")
    return result


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Two servers and the echo stand throughout."""
    unit = roomy_fleet()[:1]
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        echoing = stack.enter_context(echo("grpcio", folder))
        url = stack.enter_context(etcd(folder))
        servers = []
        for transport, suffix in (("auto", ""), ("grpcio", "_grpcio")):
            ready = stack.enter_context(provisioner(url, transport, folder, fleet_applied=True))
            asyncio.run(apply_fleet(ready["grpc"], unit))
            servers.append(_Server(grpc=ready["grpc"], pid=int(ready["pid"]), suffix=suffix))
        many = stack.enter_context(LoadProcesses(processes=PROCESSES))
        few = stack.enter_context(
            LoadProcesses(
                processes=PROCESSES, connections=1, in_flight=CLAIMS_IN_FLIGHT // PROCESSES
            )
        )
        for number in range(WARM_UP, rounds):
            kept = samples if number != WARM_UP else Samples()
            share = divisor(number, quick=quick)
            kept.add(
                "raw_claims_per_s",
                raw_claims.measure(url.removeprefix("etcd://"), RAW // share, CLAIMS_IN_FLIGHT),
            )
            runs = _claim(kept, servers, few, many, str(unit[0].id), share)
            tick()
            echoed = many.run(
                echoing, Provisions(run="e", count=ECHOED // PROCESSES // share, path=ECHO)
            )
            kept.add("lookup_echo_per_s", check_echo(echoed).per_s)
            _resolve(kept, servers, many, str(unit[0].id), runs, share)
            tick()


def _claim(
    samples: Samples,
    servers: Sequence[_Server],
    few: LoadProcesses,
    many: LoadProcesses,
    unit: str,
    share: int,
) -> list[str]:
    """The names of the runs, in the order of the servers."""
    runs = []
    for server in servers:
        count = CLAIMED[server.suffix] // PROCESSES // share
        run = secrets.token_hex(4)
        check_good(many.run(server.grpc, Provisions(run=run, count=count)), "homes")
        before = cpu_s(server.pid)
        claimed = check_claimed(few.run(server.grpc, Claims(run=run, count=count, unit=unit)))
        samples.add(f"claims{server.suffix}_per_s", claimed.per_s)
        samples.add(f"claims{server.suffix}_p99_ms", claimed.p99_ms)
        samples.add(
            f"claims{server.suffix}_cpu_us", (cpu_s(server.pid) - before) / claimed.good * 1e6
        )
        runs.append(run)
    return runs


def _resolve(
    samples: Samples,
    servers: Sequence[_Server],
    many: LoadProcesses,
    unit: str,
    runs: Sequence[str],
    share: int,
) -> None:
    for server, run in zip(servers, runs, strict=True):
        known = CLAIMED[server.suffix] // PROCESSES // share
        count = RESOLVED[server.suffix] // PROCESSES // share
        work = Resolves(run=run, count=count, known=known, unit=unit)
        check_resolved(many.run(server.grpc, work))  # what it reads is remembered from then on
        before = cpu_s(server.pid)
        resolved = check_resolved(many.run(server.grpc, work))
        samples.add(f"resolves{server.suffix}_per_s", resolved.per_s)
        samples.add(f"resolves{server.suffix}_p99_ms", resolved.p99_ms)
        samples.add(
            f"resolves{server.suffix}_cpu_us", (cpu_s(server.pid) - before) / resolved.good * 1e6
        )


def _units() -> dict[str, str]:
    found = {"raw_claims_per_s": "claims/s", "lookup_echo_per_s": "calls/s"}
    for suffix in ("", "_grpcio"):
        for name, calls, in_flight in (
            ("claims", "claims", CLAIMS_IN_FLIGHT), ("resolves", "lookups", 256),
        ):  # fmt: skip
            found[f"{name}{suffix}_per_s"] = f"{calls}/s"
            found[f"{name}{suffix}_p99_ms"] = f"ms at {in_flight} in flight"
            found[f"{name}{suffix}_cpu_us"] = f"us of the server's processors, {calls}"
    return found


NAMING = Measurement(
    name="the directory",
    ratios=(
        Ratio(key="claim_vs_raw_txn", ours="claims_per_s", ceiling="raw_claims_per_s", target=2.0),
        Ratio(key="claim_grpcio_vs_raw_txn", ours="claims_grpcio_per_s",
              ceiling="raw_claims_per_s", target=None),
        Ratio(key="resolve_vs_echo", ours="resolves_per_s", ceiling="lookup_echo_per_s",
              target=1.5),
        Ratio(key="resolve_grpcio_vs_echo", ours="resolves_grpcio_per_s",
              ceiling="lookup_echo_per_s", target=None),
    ),
    units=_units(),
    run=measure,
    steps=lambda rounds: 2 * (rounds + 1),
)  # fmt: skip
