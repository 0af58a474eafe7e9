"""Single calls: new and known clients on both transports, next to bare echoes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median

from bench.load.load_processes import LoadProcesses
from bench.load.results import LoadResult
from bench.suite.measurement import WARM_UP, Failed, Measurement, Ratio, Samples, divisor
from bench.suite.processes import echo, etcd, provisioner, roomy_fleet, scratch
from bench.workloads import ECHO, PROVISION, Provisions, sample_response
from homeport.api.provisioning.v1 import provisioning_pb2 as pb

# Calls per load process and round: about two seconds each, by their own speeds. Known
# clients are the new ones of the same round, asked for again.
COUNTS = {"echo": 8_000, "native_echo": 50_000, "new": 16_000, "grpcio": 5_000}
SIZE_TOLERANCE = 0.05


def check_echo(result: LoadResult) -> LoadResult:
    """Raises Failed unless every call was answered with the sample."""
    _check_errors(result)
    if any(answer != sample_response() for answer in result.kept):
        raise Failed("an echo answered something else")
    return result


def check_provisioned(
    result: LoadResult,
    *,
    existing: bool,
    read: Callable[[bytes], pb.ProvisionResponse] = pb.ProvisionResponse.FromString,
) -> LoadResult:
    """Raises Failed unless every call was answered and the answers kept are what they
    should be. read: an answer."""
    _check_errors(result)
    units = {unit.id for unit in roomy_fleet()}
    answers = [read(answer) for answer in result.kept]
    for answer in answers:
        fine = answer.assignment.unit_id in units and answer.ticket
        if not fine or answer.existing != existing or answer.stale:
            raise Failed(f"a wrong answer: {answer}")
    if len({answer.assignment.client_id for answer in answers}) != len(answers):
        raise Failed("two answers for one client")
    return result


def _check_errors(result: LoadResult) -> None:
    if result.errors:
        kinds = ", ".join(f"{count} {kind}" for kind, count in result.errors.items())
        raise Failed(f"of {result.good + sum(result.errors.values())} calls: {kinds}")
    if not result.kept:
        raise Failed("no call was answered")


def same_size(ours: LoadResult, echoed: LoadResult) -> tuple[float, float]:
    """Median bytes of both's answers. Raises Failed when they are too far apart to compare."""
    sizes = [float(median(len(answer) for answer in one.kept)) for one in (ours, echoed)]
    if abs(sizes[0] / sizes[1] - 1) > SIZE_TOLERANCE:
        raise Failed(f"answers have {sizes[0]:.0f} bytes and the echo's {sizes[1]:.0f}")
    return sizes[0], sizes[1]


def calls(kind: str, share: int, run: str, path: str = PROVISION) -> Provisions:
    """share: by what the usual count is divided."""
    return Provisions(run=run, count=COUNTS[kind] // share, path=path)


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Four servers stand throughout; in each round every one of them is asked in turn."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        grpcio_echo = stack.enter_context(echo("grpcio", folder))
        native_echo = stack.enter_context(echo("native", folder))
        url = stack.enter_context(etcd(folder))
        default = stack.enter_context(provisioner(url, "auto", folder))["grpc"]
        grpcio = stack.enter_context(provisioner(url, "grpcio", folder))["grpc"]
        load = stack.enter_context(LoadProcesses())
        for number in range(WARM_UP, rounds):
            name, share = secrets.token_hex(4), divisor(number, quick=quick)
            echoed = check_echo(load.run(grpcio_echo, calls("echo", share, name, ECHO)))
            new = check_provisioned(load.run(default, calls("new", share, name)), existing=False)
            fast = check_echo(load.run(native_echo, calls("native_echo", share, name, ECHO)))
            known = check_provisioned(load.run(default, calls("new", share, name)), existing=True)
            slow = check_provisioned(
                load.run(grpcio, calls("grpcio", share, "g" + name[1:])), existing=False
            )
            tick()
            sizes = same_size(new, echoed)
            if number == WARM_UP:
                continue
            samples.add("echo_per_s", echoed.per_s)
            samples.add("provision_new_per_s", new.per_s)
            samples.add("native_echo_per_s", fast.per_s)
            samples.add("provision_known_per_s", known.per_s)
            samples.add("provision_new_grpcio_per_s", slow.per_s)
            samples.add("provision_new_p50_ms", new.p50_ms)
            samples.add("provision_new_p99_ms", new.p99_ms)
            samples.add("echo_p99_ms", echoed.p99_ms)
            samples.add("load_process_busy_share", fast.busiest)
            samples.add("provision_response_bytes", sizes[0])
            samples.add("echo_response_bytes", sizes[1])


UNARY = Measurement(
    name="single calls",
    ratios=(
        Ratio(key="provision_new_vs_echo", ours="provision_new_per_s",
              ceiling="echo_per_s", target=1.50),
        Ratio(key="provision_new_grpcio_vs_echo", ours="provision_new_grpcio_per_s",
              ceiling="echo_per_s", target=0.70),
        Ratio(key="provision_known_vs_echo", ours="provision_known_per_s",
              ceiling="echo_per_s", target=2.50),
        Ratio(key="provision_new_vs_native_echo", ours="provision_new_per_s",
              ceiling="native_echo_per_s", target=0.50),
        Ratio(key="provision_known_vs_native_echo", ours="provision_known_per_s",
              ceiling="native_echo_per_s", target=0.65),
    ),
    units={
        "echo_per_s": "calls/s", "native_echo_per_s": "calls/s",
        "provision_new_per_s": "clients/s", "provision_known_per_s": "clients/s",
        "provision_new_grpcio_per_s": "clients/s",
        "provision_new_p50_ms": "ms at 256 in flight",
        "provision_new_p99_ms": "ms at 256 in flight",
        "echo_p99_ms": "ms at 256 in flight",
        "load_process_busy_share": "of a core, the busiest of two, at the fastest server",
        "provision_response_bytes": "bytes", "echo_response_bytes": "bytes",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
