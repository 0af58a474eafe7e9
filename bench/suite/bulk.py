"""ProvisionMany on both stores, next to what the bare store can do."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack

from bench.ceilings import raw_etcd, raw_sqlite
from bench.load.stream import Bulk, feed
from bench.suite.measurement import Failed, Measurement, Ratio, Samples
from bench.suite.processes import etcd, provisioner, scratch

BATCHES = 100  # of 1,000 clients
TRANSACTIONS = 500  # of 120 creates, for each number in flight
ROWS = 200_000


def good(bulk: Bulk) -> Bulk:
    """Raises Failed when any client of the run did."""
    if bulk.failed:
        raise Failed(f"{bulk.failed} clients failed in bulk")
    return bulk


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Two provisioners stand throughout; ceilings and ours take turns."""
    scale = 5 if quick else 1
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        url = stack.enter_context(etcd(folder))
        endpoint = url.removeprefix("etcd://")
        on_etcd = stack.enter_context(provisioner(url, "native", folder))["grpc"]
        embedded = f"embedded:{folder / 'embedded' / 'store.db'}"
        on_sqlite = stack.enter_context(provisioner(embedded, "native", folder))["grpc"]
        for number in range(-1, rounds):
            name = secrets.token_hex(3)
            raw = raw_etcd.measure(endpoint, TRANSACTIONS // scale)
            many = good(feed(on_etcd, name + "a", BATCHES // scale))
            ticketed = good(feed(on_etcd, name + "t", BATCHES // scale, with_tickets=True))
            rows = raw_sqlite.rows_per_s(folder, name, ROWS // scale)
            local = good(feed(on_sqlite, name + "e", BATCHES // scale))
            tick()
            if number < 0:
                continue
            samples.add("raw_txn_clients_per_s", raw)
            samples.add("provision_many_per_s", many.clients_per_s)
            samples.add("provision_many_with_tickets_per_s", ticketed.clients_per_s)
            samples.add("raw_sqlite_rows_per_s", rows)
            samples.add("provision_many_embedded_per_s", local.clients_per_s)


BULK = Measurement(
    name="bulk",
    ratios=(
        Ratio(key="provision_many_vs_raw_txn", ours="provision_many_per_s",
              ceiling="raw_txn_clients_per_s", target=0.50),
        Ratio(key="provision_many_embedded_vs_sqlite", ours="provision_many_embedded_per_s",
              ceiling="raw_sqlite_rows_per_s", target=0.20),
    ),
    units={
        "raw_txn_clients_per_s": "creates/s", "provision_many_per_s": "clients/s",
        "provision_many_with_tickets_per_s": "clients/s", "raw_sqlite_rows_per_s": "rows/s",
        "provision_many_embedded_per_s": "clients/s",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
