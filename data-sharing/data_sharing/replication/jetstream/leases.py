"""JetStreamLeases: who has which partition, each the last message of a subject of one stream."""

from __future__ import annotations

import msgspec
from nats.aio.client import Client

from data_sharing.replication.jetstream.connection import JetStreamTarget
from data_sharing.replication.jetstream.stream import Stream
from data_sharing.replication.lease import Holder, Written

_encode = msgspec.json.encode
_holder = msgspec.json.Decoder(Holder).decode


class JetStreamLease:
    """A LeaseStore of one partition. `open` first."""

    def __init__(self, client: Client, target: JetStreamTarget, partition: str) -> None:
        self._subject = f"{target.prefix}-leases.{partition}"
        self._stream = Stream(
            client, f"{target.prefix}-leases", [f"{target.prefix}-leases.*"],
            replicas=target.replicas, most_of_subject=1,
        )  # fmt: skip

    async def open(self) -> None:
        """See Stream.open."""
        await self._stream.open()

    async def read(self) -> Written | None:
        found = await self._stream.last(self._subject)
        return None if found is None else Written(found.sequence, _holder(found.data))

    async def write(self, holder: Holder, *, after: int) -> int:
        return await self._stream.write([(self._subject, _encode(holder))], after=after)
