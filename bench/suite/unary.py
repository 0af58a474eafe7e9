"""Single calls: new and known clients on both transports, next to bare echoes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack

from bench.load.runner import Outcome, run
from bench.suite.measurement import Failed, Measurement, Ratio, Samples
from bench.suite.processes import echo, etcd, provisioner, scratch
from bench.workloads import ECHO, Provisions
from homeport.api.provisioning.v1 import provisioning_pb2 as pb

# Calls per load process and round: three to five seconds each, and by their own speeds.
COUNTS = {"echo": 9_000, "native_echo": 60_000, "new": 30_000, "known": 30_000, "grpcio": 8_000}


def check(outcome: Outcome, *, existing: bool) -> None:
    """Raises Failed unless every call was answered and the answers kept are what they
    should be."""
    if outcome.failed:
        raise Failed(f"{outcome.failed} calls failed")
    answers = [pb.ProvisionResponse.FromString(answer) for answer in outcome.kept]
    for answer in answers:
        if not (answer.assignment.unit_id and answer.ticket and answer.existing == existing):
            raise Failed(f"a wrong answer: {answer}")
    if len({answer.assignment.client_id for answer in answers}) != len(answers):
        raise Failed("two answers for one client")


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Five servers stand throughout; in each round every one of them is asked in turn."""
    scale = 5 if quick else 1

    def count(kind: str) -> int:
        return COUNTS[kind] // scale

    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        grpcio_echo = stack.enter_context(echo("grpcio", folder))
        native_echo = stack.enter_context(echo("native", folder))
        url = stack.enter_context(etcd(folder))
        native = stack.enter_context(provisioner(url, "native", folder))["grpc"]
        grpcio = stack.enter_context(provisioner(url, "grpcio", folder))["grpc"]
        for number in range(-1, rounds):  # round -1 warms everything up
            name = secrets.token_hex(4)
            outcomes: dict[str, Outcome] = {}
            outcomes["echo_per_s"] = run(
                grpcio_echo, Provisions(run=name, count=count("echo"), path=ECHO)
            )
            new = outcomes["provision_new_per_s"] = run(
                native, Provisions(run=name, count=count("new"))
            )
            check(new, existing=False)
            outcomes["native_echo_per_s"] = run(
                native_echo, Provisions(run=name, count=count("native_echo"), path=ECHO)
            )
            known = outcomes["provision_known_per_s"] = run(
                native, Provisions(run=name, count=count("known"))
            )
            check(known, existing=True)
            ours = outcomes["provision_new_grpcio_per_s"] = run(
                grpcio, Provisions(run="g" + name[1:], count=count("grpcio"))
            )
            check(ours, existing=False)
            tick()
            if number < 0:
                continue
            for key, outcome in outcomes.items():
                samples.add(key, outcome.per_s)
            samples.add("provision_new_p50_ms", new.p50_ms)
            samples.add("provision_new_p99_ms", new.p99_ms)


UNARY = Measurement(
    name="single calls",
    ratios=(
        Ratio(key="provision_new_vs_echo", ours="provision_new_per_s",
              ceiling="echo_per_s", target=1.50),
        Ratio(key="provision_new_grpcio_vs_echo", ours="provision_new_grpcio_per_s",
              ceiling="echo_per_s", target=0.35),
        Ratio(key="provision_known_vs_echo", ours="provision_known_per_s",
              ceiling="echo_per_s", target=2.50),
        Ratio(key="provision_new_vs_native_echo", ours="provision_new_per_s",
              ceiling="native_echo_per_s", target=0.30),
    ),
    units={
        "echo_per_s": "calls/s", "native_echo_per_s": "calls/s",
        "provision_new_per_s": "clients/s", "provision_known_per_s": "clients/s",
        "provision_new_grpcio_per_s": "clients/s",
        "provision_new_p50_ms": "ms at 256 in flight",
        "provision_new_p99_ms": "ms at 256 in flight",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
