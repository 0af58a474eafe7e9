"""What a server that has one of several partitions needs of the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from control_plane.serving.dialing import FileDialer
from data_sharing.api.callers import Callers
from data_sharing.api.other_partitions import OtherPartitions
from data_sharing.api.partition_calls import PartitionCalls
from data_sharing.feeds.intake import Elsewhere
from data_sharing.replication.partition_map import PartitionMap
from data_sharing.settings import Settings
from data_sharing.wiring.partition import OpenedPartition


@asynccontextmanager
async def other_partitions(
    settings: Settings, opened: OpenedPartition | None, *, is_open: bool
) -> AsyncIterator[OtherPartitions | None]:
    """None: keys are not spread. is_open: no credentials are asked for. Raises InvalidInput for
    certificates that cannot be used."""
    if opened is None or opened.partitions is None:
        yield None
        return
    # Shown to servers that ask for one: it is what this server is known by.
    connect = FileDialer(
        ca=settings.feeds_servers_ca,
        certificate=settings.tls_certificate,
        key=settings.tls_key,
        settings=("feeds_servers_ca", "tls_certificate", "tls_key"),
    )
    await opened.partitions.look()
    others = OtherPartitions(opened.partitions, connect, is_open=is_open)
    try:
        yield others
    finally:
        await others.close()


def elsewhere_of(partitions: PartitionMap | None) -> Elsewhere | None:
    """Which partition has a key that is not for this server; None: keys are not spread."""
    if partitions is None:
        return None

    def elsewhere(tenant: str, key: str) -> int | None:
        partition = partitions.partition_of(tenant, key)
        return None if partition == partitions.number else partition

    return elsewhere


def tell_address(settings: Settings, opened: OpenedPartition, address: str) -> None:
    """From now on others are told that the partition is served there."""
    if opened.partitions is not None and opened.lease is not None:
        opened.lease.serve_at(settings.feeds_address or address)


def calls_of_partitions(
    others: OtherPartitions | None, callers: Callers, settings: Settings
) -> list[PartitionCalls]:
    """The interceptor that has calls reach other partitions; none, where keys are not spread."""
    if others is None:
        return []
    return [PartitionCalls(others, callers, artifact_bytes=settings.max_artifact_bytes)]
