"""Memory of a provisioner with ten thousand watchers, each on a connection of its own.

What an idle connection takes in the same server is the ceiling: a watcher cannot take less.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from bench.load.stream import feed
from bench.load.watchers import begin, connect
from bench.suite.bulk import good
from bench.suite.measurement import Failed, Measurement, Ratio, Samples
from bench.suite.memory import settled
from bench.suite.processes import provisioner, scratch
from bench.workloads import bulk_client_id

WATCHERS = 10_000
TRANSPORTS = (("native", ""), ("grpcio", "_grpcio"))
NO_QUOTA = '{"watches": {"tenant": 0, "address": 0}}'  # all of them come from here at once


async def _watch(
    address: str, pid: int, ids: list[str], look: Callable[[int], tuple[float, float]]
) -> tuple[float, float]:
    """KiB of anonymous memory for each idle connection, and for each watcher with its
    connection. Raises Failed when not every watcher was told its client's home."""
    before_mib, _ = await asyncio.to_thread(look, pid)
    watchers = await connect(address, len(ids))
    try:
        connected_mib, _ = await asyncio.to_thread(look, pid)
        told = await begin(watchers, address, ids)
        watching_mib, _ = await asyncio.to_thread(look, pid)
        if told != len(ids) or any(watcher.over for watcher in watchers):
            raise Failed(f"{len(ids) - told} of {len(ids)} watchers were not told a home")
    finally:
        for watcher in watchers:
            watcher.close()
    kib = 1024 / len(ids)
    return (connected_mib - before_mib) * kib, (watching_mib - before_mib) * kib


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Once for each transport, whatever the rounds, in a fresh server. Quick: a fifth of the
    watchers."""
    count = WATCHERS // 5 if quick else WATCHERS
    for transport, suffix in TRANSPORTS:
        run = secrets.token_hex(3)
        with scratch() as folder:
            store = f"embedded:{folder / 'store' / 'store.db'}"
            with provisioner(store, transport, folder, f"--quotas={NO_QUOTA}") as ready:
                good(feed(ready["grpc"], run, count // 1_000))
                ids = [bulk_client_id(run, number) for number in range(count)]
                connection, watcher = asyncio.run(
                    _watch(ready["grpc"], int(ready["pid"]), ids, settled)
                )
        samples.add(f"connection{suffix}_kib", connection)
        samples.add(f"watcher{suffix}_kib", watcher)
        tick()


WATCHING = Measurement(
    name="watchers",
    ratios=(
        Ratio(key="watcher_vs_connection", ours="watcher_kib", ceiling="connection_kib",
              target=3.0, at_least=False),
    ),
    units={
        "watcher_kib": "KiB for each of 10,000 watchers with its connection",
        "connection_kib": "KiB for each idle connection",
        "watcher_grpcio_kib": "KiB for each watcher, grpcio transport",
        "connection_grpcio_kib": "KiB for each idle connection, grpcio transport",
    },
    run=measure,
    steps=lambda rounds: len(TRANSPORTS),
)  # fmt: skip
