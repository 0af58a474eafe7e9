"""Memory of a provisioner: it must not grow with the clients it has placed."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import psutil

from bench.load.stream import feed
from bench.suite.bulk import good
from bench.suite.measurement import Measurement, Ratio, Samples
from bench.suite.processes import etcd, provisioner, scratch

FIRST, LAST = 100, 1_000  # batches of 1,000 clients


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Once, whatever the rounds: a million clients take half a minute."""
    first, last = (FIRST // 10, LAST // 10) if quick else (FIRST, LAST)
    name = secrets.token_hex(3)
    with scratch() as folder, etcd(folder) as url, provisioner(url, "native", folder) as ready:
        process = psutil.Process(int(ready["pid"]))
        good(feed(ready["grpc"], name + "a", first))
        samples.add("rss_100k_mib", process.memory_info().rss / 2**20)
        tick()
        step = (last - first) // 9
        for part in range(9):
            good(feed(ready["grpc"], f"{name}{part}", step))
            tick()
        samples.add("rss_1m_mib", process.memory_info().rss / 2**20)


MEMORY = Measurement(
    name="memory",
    ratios=(
        Ratio(key="rss_1m_vs_100k", ours="rss_1m_mib", ceiling="rss_100k_mib", target=1.25,
              at_least=False),
    ),
    units={"rss_100k_mib": "MiB", "rss_1m_mib": "MiB"},
    run=measure,
    steps=lambda rounds: 10,
)  # fmt: skip
