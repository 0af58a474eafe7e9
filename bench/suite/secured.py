"""New clients over TLS, next to new clients in the clear: both on the default transport, on one
etcd, asked by the same load processes in pairs."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.load.load_processes import LoadProcesses
from bench.load.results import LoadResult
from bench.suite.measurement import Measurement, Ratio, Samples
from bench.suite.pairs import PAIRS, Side, ask_in_pairs, units_of
from bench.suite.processes import etcd, provisioner, scratch
from bench.suite.unary import COUNTS, check_provisioned
from bench.workloads import Provisions
from control_plane.identity.authority import Authority

ADDRESSES = ("127.0.0.1",)


def certified(folder: Path) -> tuple[Path, bytes, list[str]]:
    """A CA's file, its content, and the arguments of a server that shows a certificate of it."""
    now = datetime.now(UTC)
    authority = Authority.new("bench", now=now)
    certificate, key = authority.issue("server", now=now, addresses=ADDRESSES)
    files = {"ca": authority.certificate, "certificate": certificate, "key": key}
    for name, content in files.items():
        (folder / f"{name}.pem").write_bytes(content)
    return folder / "ca.pem", authority.certificate, [
        f"--tls-certificate={folder / 'certificate.pem'}", f"--tls-key={folder / 'key.pem'}",
    ]  # fmt: skip


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Both servers stand throughout; each round asks both in pairs."""
    count = COUNTS["new"] // (2 * PAIRS) // (5 if quick else 1)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        url = stack.enter_context(etcd(folder))
        ca_file, ca, arguments = certified(folder)
        plain = stack.enter_context(provisioner(url, "auto", folder))
        tls = stack.enter_context(provisioner(url, "auto", folder, *arguments, ca=ca))
        load = stack.enter_context(LoadProcesses())

        def ask(server: dict[str, str], ca: str) -> LoadResult:
            work = Provisions(run=secrets.token_hex(4), count=count)
            return check_provisioned(load.run(server["grpc"], work, ca=ca), existing=False)

        secured = Side(name="tls_new", pid=int(tls["pid"]), run=partial(ask, tls, str(ca_file)))
        clear = Side(name="plain_new", pid=int(plain["pid"]), run=partial(ask, plain, ""))
        ask_in_pairs(Samples(), secured, clear, pairs=1)  # warms everything up
        tick()
        for _ in range(rounds):
            ask_in_pairs(samples, secured, clear)
            tick()


SECURED = Measurement(
    name="single calls over TLS",
    ratios=(
        Ratio(key="tls_new_vs_plain_new", ours="tls_new_per_s", ceiling="plain_new_per_s",
              target=0.75, paired=True),
    ),
    units=units_of("tls_new", "plain_new"),
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
