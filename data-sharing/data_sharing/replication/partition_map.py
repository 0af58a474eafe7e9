"""PartitionMap: which server has each of the partitions that keys are spread over, as the leases
said when they were last looked at.

It only says where to ask: who is asked knows whether it has the partition, and what it writes is
guarded by its changelog.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from types import MappingProxyType

from control_plane.errors import Refused, StoreUnavailable
from data_sharing.replication.lease import LeaseStore

log = logging.getLogger(__name__)

MOST_PARTITIONS = 64
LOOK_S = 0.5  # between two looks at all of them


def name_of(number: int, count: int) -> str:
    """What a partition's streams and folder are called.

    >>> name_of(0, 4)
    '0-of-4'
    """
    return f"{number}-of-{count}"


class OtherPartition(Refused):
    """It is of a key of another partition. name: of what it is, where that has one."""

    reason = "OTHER_PARTITION"

    def __init__(self, message: str, partition: int, server: str, *, name: str = "") -> None:
        super().__init__(f"{message}: {server}" if server else message)
        self.partition = partition
        self.name = name
        self.metadata = MappingProxyType({"partition": str(partition), "server": server})


class PartitionMap:
    """cells: of the leases, by partition; number: of the partition that this worker has; whose:
    the partition of a tenant's key, of so many."""

    def __init__(
        self, cells: Sequence[LeaseStore], number: int, whose: Callable[[str, str, int], int]
    ) -> None:
        self.number = number
        self.count = len(cells)
        self._cells = cells
        self._whose = whose
        self._servers = [""] * len(cells)

    @property
    def name(self) -> str:
        """Of the partition that this worker has."""
        return name_of(self.number, self.count)

    def partition_of(self, tenant: str, key: str) -> int:
        """Which partition a key is in."""
        return self._whose(tenant, key, self.count)

    def server_of(self, partition: int) -> str:
        """host:port that has it; empty: nobody has it, as far as is known."""
        return self._servers[partition]

    async def look(self) -> None:
        """Reads all leases. Where they cannot be read, what was known stays."""
        for place, cell in enumerate(self._cells):
            try:
                found = await cell.read()
            except StoreUnavailable as error:
                log.debug("the leases of partitions: %s", error)
                return
            has = found is not None and found.holder.owner
            self._servers[place] = found.holder.address if found is not None and has else ""

    async def run(self) -> None:
        """A task of the owner's."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)
