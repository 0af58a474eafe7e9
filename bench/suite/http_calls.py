"""New clients over HTTP and JSON, next to the same over gRPC on the default transport: of one
server, on one etcd, asked by the same load processes in pairs, with as many calls in flight."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from google.protobuf import json_format

from bench.load.load_processes import HttpWorkload, LoadProcesses
from bench.load.results import LoadResult
from bench.suite.measurement import Measurement, Ratio, Samples
from bench.suite.pairs import PAIRS, Side, ask_in_pairs, units_of
from bench.suite.processes import etcd, provisioner, scratch
from bench.suite.unary import COUNTS, check_provisioned
from bench.workloads import Provisions, http_provisions
from homeport.api.provisioning.v1 import provisioning_pb2 as pb

HTTP_COUNT = 1_500  # per load process and round; a call takes longer than one over gRPC


def read_json(answer: bytes) -> pb.ProvisionResponse:
    """Raises json_format.ParseError for what is none."""
    return json_format.Parse(answer, pb.ProvisionResponse())


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """One server stands throughout; each round asks it both ways, in pairs."""
    runs = 2 * PAIRS * (5 if quick else 1)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        url = stack.enter_context(etcd(folder))
        server = stack.enter_context(provisioner(url, "auto", folder, "--http-listen=127.0.0.1:0"))
        load = stack.enter_context(LoadProcesses())

        def over_http() -> LoadResult:
            asked = partial(http_provisions, secrets.token_hex(4), HTTP_COUNT // runs)
            result = load.run(server["http"], HttpWorkload(asked))
            return check_provisioned(result, existing=False, read=read_json)

        def over_grpc() -> LoadResult:
            work = Provisions(run=secrets.token_hex(4), count=COUNTS["new"] // runs)
            return check_provisioned(load.run(server["grpc"], work), existing=False)

        pid = int(server["pid"])
        http = Side(name="http_new", pid=pid, run=over_http)
        grpc = Side(name="grpc_new", pid=pid, run=over_grpc)
        ask_in_pairs(Samples(), http, grpc, pairs=1)  # warms everything up
        tick()
        for _ in range(rounds):
            ask_in_pairs(samples, http, grpc)
            tick()


HTTP_CALLS = Measurement(
    name="single calls over HTTP",
    ratios=(
        Ratio(key="http_new_vs_grpc_new", ours="http_new_per_s", ceiling="grpc_new_per_s",
              target=None, paired=True),
    ),
    units=units_of("http_new", "grpc_new"),
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
