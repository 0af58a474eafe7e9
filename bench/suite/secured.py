"""New clients over TLS, next to new clients in the clear: both on the default transport, on one
etcd, asked by the same load processes in turn. With client certificates as well."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench.load.load_processes import LoadProcesses
from bench.suite.measurement import Measurement, Ratio, Samples
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
    """Both servers stand throughout; each round asks both."""
    count = COUNTS["new"] // (5 if quick else 1)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        url = stack.enter_context(etcd(folder))
        ca_file, ca, arguments = certified(folder)
        plain = stack.enter_context(provisioner(url, "auto", folder))["grpc"]
        tls = stack.enter_context(provisioner(url, "auto", folder, *arguments, ca=ca))["grpc"]
        load = stack.enter_context(LoadProcesses())
        for number in range(-1, rounds):  # round -1 warms everything up
            kept = samples if number >= 0 else Samples()
            name = secrets.token_hex(4)
            clear = load.run(plain, Provisions(run="p" + name, count=count))
            kept.add("plain_new_per_s", check_provisioned(clear, existing=False).per_s)
            secured = load.run(tls, Provisions(run="t" + name, count=count), ca=str(ca_file))
            kept.add("tls_new_per_s", check_provisioned(secured, existing=False).per_s)
            kept.add("tls_new_p99_ms", secured.p99_ms)
            kept.add("plain_new_p99_ms", clear.p99_ms)
            tick()


SECURED = Measurement(
    name="single calls over TLS",
    ratios=(
        Ratio(key="tls_new_vs_plain_new", ours="tls_new_per_s", ceiling="plain_new_per_s",
              target=0.75),
    ),
    units={
        "tls_new_per_s": "clients/s", "plain_new_per_s": "clients/s",
        "tls_new_p99_ms": "ms at 256 in flight", "plain_new_p99_ms": "ms at 256 in flight",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
