"""New clients that enrol by an HMAC and with a key, next to new clients that show nothing: both on
the default transport, on one etcd, asked by the same load processes in turn."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import grpc

from bench.load.load_processes import LoadProcesses
from bench.suite.measurement import Measurement, Ratio, Samples
from bench.suite.processes import etcd, provisioner, scratch
from bench.suite.unary import COUNTS, check_provisioned
from bench.workloads import GROUP, Enrolments
from homeport.api.tenancy.v1 import tenancy_pb2, tenancy_pb2_grpc

OPERATOR = "the bench's operator"


def tokens_file(folder: Path) -> Path:
    """Of a server that knows the operator alone."""
    path = folder / "tokens.toml"
    digest = hashlib.sha256(OPERATOR.encode()).hexdigest()
    path.write_text(f'[[token]]\nname = "bench"\nsha256 = "{digest}"\nroles = ["operator"]\n')
    return path


async def new_group(address: str) -> str:
    """The key of a group of the default tenant."""
    request = tenancy_pb2.AddEnrolmentGroupRequest(group=GROUP)
    metadata = (("authorization", f"Bearer {OPERATOR}"),)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = tenancy_pb2_grpc.TenantServiceStub(channel)
        made = await stub.AddEnrolmentGroup(request, metadata=metadata, timeout=10)
        return str(made.key)


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Both servers stand throughout; each round asks both."""
    count = COUNTS["new"] // (5 if quick else 1)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        url = stack.enter_context(etcd(folder))
        # The fleet is applied through the first, which asks nobody.
        plain = stack.enter_context(provisioner(url, "auto", folder))["grpc"]
        arguments = (f"--tokens={tokens_file(folder)}",)
        asking = stack.enter_context(
            provisioner(url, "auto", folder, *arguments, fleet_applied=True)
        )["grpc"]
        group_key = asyncio.run(new_group(asking))
        load = stack.enter_context(LoadProcesses())
        for number in range(-1, rounds):  # round -1 warms everything up
            kept = samples if number >= 0 else Samples()
            name = secrets.token_hex(4)
            none = load.run(plain, Enrolments(run="o" + name, count=count))
            kept.add("open_new_per_s", check_provisioned(none, existing=False).per_s)
            work = Enrolments(run="a" + name, count=count, group_key=group_key)
            checked = load.run(asking, work)
            kept.add("auth_new_per_s", check_provisioned(checked, existing=False).per_s)
            tick()


ENROLLING = Measurement(
    name="enrolment",
    ratios=(
        Ratio(key="auth_new_vs_open_new", ours="auth_new_per_s", ceiling="open_new_per_s",
              target=0.85),
    ),
    units={"auth_new_per_s": "clients/s", "open_new_per_s": "clients/s"},
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
