"""New clients that enrol by an HMAC and with a key, next to new clients that show nothing: both on
the default transport, on one etcd, asked by the same load processes in pairs."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import grpc

from bench.load.load_processes import LoadProcesses
from bench.load.results import LoadResult
from bench.suite.measurement import Measurement, Ratio, Samples
from bench.suite.pairs import PAIRS, Side, ask_in_pairs, units_of
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
    """Both servers stand throughout; each round asks both in pairs."""
    count = COUNTS["new"] // (2 * PAIRS) // (5 if quick else 1)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        url = stack.enter_context(etcd(folder))
        # The fleet is applied through the first, which asks nobody.
        plain = stack.enter_context(provisioner(url, "auto", folder))
        arguments = (f"--tokens={tokens_file(folder)}",)
        asking = stack.enter_context(
            provisioner(url, "auto", folder, *arguments, fleet_applied=True)
        )
        group_key = asyncio.run(new_group(asking["grpc"]))
        load = stack.enter_context(LoadProcesses())

        def ask(server: dict[str, str], key: str) -> LoadResult:
            work = Enrolments(run=secrets.token_hex(4), count=count, group_key=key)
            return check_provisioned(load.run(server["grpc"], work), existing=False)

        checked = Side(name="auth_new", pid=int(asking["pid"]),
                       run=partial(ask, asking, group_key))  # fmt: skip
        none = Side(name="open_new", pid=int(plain["pid"]), run=partial(ask, plain, ""))
        ask_in_pairs(Samples(), checked, none, pairs=1)  # warms everything up
        tick()
        for _ in range(rounds):
            ask_in_pairs(samples, checked, none)
            tick()


ENROLLING = Measurement(
    name="enrolment",
    ratios=(
        Ratio(key="auth_new_vs_open_new", ours="auth_new_per_s", ceiling="open_new_per_s",
              target=0.85, paired=True),
    ),
    units=units_of("auth_new", "open_new"),
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
