"""ProvisionMany on both stores, next to what the bare store can do.

A bare store's best setting is the one with the best median over the rounds: the best of each
round would be the luckiest of several samples, and set against single samples of ours. The rounds
try the two settings that were best while everything warmed up.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from bench.ceilings import raw_etcd, raw_sqlite
from bench.load.stream import Bulk, feed
from bench.suite.measurement import WARM_UP, Failed, Measurement, Ratio, Samples, divisor
from bench.suite.processes import etcd, provisioner, scratch

BATCHES = 60  # of 1,000 clients
IN_FLIGHT = (1, 2, 4, 8)
TRANSACTIONS = 500  # of 120 creates, for each number in flight
GROUPS = (1_000, 2_000, 5_000)
ROWS = 200_000  # for each size of group


def good(bulk: Bulk) -> Bulk:
    """Raises Failed when any client of the run did."""
    if bulk.failed:
        raise Failed(f"{bulk.failed} clients failed in bulk")
    return bulk


def raw_txn(in_flight: int) -> str:
    return f"raw_txn_{in_flight}_in_flight_per_s"


def raw_rows(group: int) -> str:
    return f"raw_sqlite_{group}_a_group_per_s"


def two_best(
    samples: Samples, settings: Sequence[int], named: Callable[[int], str]
) -> tuple[int, ...]:
    """Of `settings`, whose samples `named` names: those with the best medians."""
    ordered = sorted(settings, key=lambda one: samples.median(named(one)), reverse=True)
    return tuple(ordered[:2])


def keep_best(samples: Samples, name: str, names: Sequence[str]) -> None:
    """`name` gets the samples of that of `names` with the best median."""
    for value in samples.values[max(names, key=samples.median)]:
        samples.add(name, value)


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Two provisioners stand throughout; ceilings and ours take turns."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        url = stack.enter_context(etcd(folder))
        endpoint = url.removeprefix("etcd://")
        on_etcd = stack.enter_context(provisioner(url, "auto", folder))["grpc"]
        embedded = f"embedded:{folder / 'embedded' / 'store.db'}"
        on_sqlite = stack.enter_context(provisioner(embedded, "auto", folder))["grpc"]
        numbers: Sequence[int] = IN_FLIGHT
        groups: Sequence[int] = GROUPS
        for number in range(WARM_UP, rounds):
            kept = samples if number != WARM_UP else Samples()
            name, scale = secrets.token_hex(3), divisor(number, quick=quick)
            for in_flight in numbers:
                rate = raw_etcd.measure(endpoint, TRANSACTIONS // scale, in_flight)
                kept.add(raw_txn(in_flight), rate)
            many = good(feed(on_etcd, name + "a", BATCHES // scale))
            kept.add("provision_many_per_s", many.clients_per_s)
            many = good(feed(on_etcd, name + "t", BATCHES // scale, with_tickets=True))
            kept.add("provision_many_with_tickets_per_s", many.clients_per_s)
            for group in groups:
                rate = raw_sqlite.rows_per_s(folder, name, ROWS // scale, group)
                kept.add(raw_rows(group), rate)
            many = good(feed(on_sqlite, name + "e", BATCHES // scale))
            kept.add("provision_many_embedded_per_s", many.clients_per_s)
            if number == WARM_UP:
                numbers = two_best(kept, numbers, raw_txn)
                groups = two_best(kept, groups, raw_rows)
            tick()
    keep_best(samples, "raw_txn_clients_per_s", [raw_txn(count) for count in numbers])
    keep_best(samples, "raw_sqlite_rows_per_s", [raw_rows(group) for group in groups])


BULK = Measurement(
    name="bulk",
    ratios=(
        Ratio(key="provision_many_vs_raw_txn", ours="provision_many_per_s",
              ceiling="raw_txn_clients_per_s", target=0.80),
        Ratio(key="provision_many_embedded_vs_sqlite", ours="provision_many_embedded_per_s",
              ceiling="raw_sqlite_rows_per_s", target=0.30),
    ),
    units={
        "raw_txn_clients_per_s": "creates/s", "provision_many_per_s": "clients/s",
        "provision_many_with_tickets_per_s": "clients/s", "raw_sqlite_rows_per_s": "rows/s",
        "provision_many_embedded_per_s": "clients/s",
        **{raw_txn(count): "creates/s" for count in IN_FLIGHT},
        **{raw_rows(group): "rows/s" for group in GROUPS},
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
