"""Memory of a provisioner: it must not grow with the clients it has placed.

What counts is anonymous memory, resident or swapped out. Pages of mapped files are left out:
they come and go as the kernel likes, and their constant share would hide growth.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.load.stream import feed
from bench.suite.bulk import good
from bench.suite.measurement import Measurement, Ratio, Samples
from bench.suite.processes import etcd, provisioner, scratch

STEPS = 10
LOOKED_AT = (0, 4, STEPS - 1)
BATCHES = 100  # of 1,000 clients, a step
LOOKS, LOOK_EVERY_S = 5, 0.4  # after each step, so that no burst is caught halfway


def read_status(pid: int) -> dict[str, float]:
    """The sizes in a process's status, in MiB. Raises FileNotFoundError when it is gone."""
    sizes = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB":
            sizes[name] = int(words[0]) / 1024
    return sizes


def settled(pid: int) -> tuple[float, float]:
    """Anonymous and all resident memory, MiB: medians over two seconds."""
    looks = []
    for _ in range(LOOKS):
        time.sleep(LOOK_EVERY_S)
        looks.append(read_status(pid))
    return (
        median(look["RssAnon"] + look.get("VmSwap", 0.0) for look in looks),
        median(look["VmRSS"] for look in looks),
    )


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Once, whatever the rounds: a million clients take half a minute. The memory
    after three of the steps is a sample each of `memory_by_steps_mib`. Quick: a tenth of the
    clients."""
    batches = BATCHES // 10 if quick else BATCHES
    run = secrets.token_hex(3)
    with scratch() as folder, etcd(folder) as url, provisioner(url, "auto", folder) as ready:
        pid = int(ready["pid"])
        for step in range(STEPS):
            good(feed(ready["grpc"], f"{run}{step}", batches))
            if step in LOOKED_AT:
                anonymous_mib, resident_mib = settled(pid)
                samples.add("memory_by_steps_mib", anonymous_mib)
            if step in (0, STEPS - 1):
                clients = "100k" if step == 0 else "1m"
                samples.add(f"memory_{clients}_mib", anonymous_mib)
                samples.add(f"rss_{clients}_mib", resident_mib)
            tick()


MEMORY = Measurement(
    name="memory",
    ratios=(
        Ratio(key="rss_1m_vs_100k", ours="memory_1m_mib", ceiling="memory_100k_mib",
              target=1.25, at_least=False),
    ),
    units={
        "memory_100k_mib": "MiB", "memory_1m_mib": "MiB",
        "memory_by_steps_mib": "MiB, median after 100k, 500k and 1m",
        "rss_100k_mib": "MiB with mapped files", "rss_1m_mib": "MiB with mapped files",
    },
    run=measure,
    steps=lambda rounds: STEPS,
)  # fmt: skip
