"""JetStreamLeases: who has which partition, each the last message of a subject of one stream; and
of how many partitions a tenant's keys are spread over, which is said there once."""

from __future__ import annotations

from contextlib import suppress

import msgspec
from nats.aio.client import Client

from control_plane.errors import OutcomeUnknown, Refused
from data_sharing.replication.jetstream.connection import JetStreamTarget
from data_sharing.replication.jetstream.stream import Stream
from data_sharing.replication.lease import Holder, Written
from data_sharing.replication.port import NotLast

_encode = msgspec.json.encode
_count = msgspec.json.Decoder(int).decode
_holder = msgspec.json.Decoder(Holder).decode


class JetStreamLease:
    """A LeaseStore of one partition. `open` first."""

    def __init__(self, client: Client, target: JetStreamTarget, partition: str) -> None:
        self._subject = f"{target.prefix}-leases.{partition}"
        self._stream = _stream(client, target)

    async def open(self) -> None:
        """See Stream.open."""
        await self._stream.open()

    async def read(self) -> Written | None:
        found = await self._stream.last(self._subject)
        return None if found is None else Written(found.sequence, _holder(found.data))

    async def write(self, holder: Holder, *, after: int) -> int:
        return await self._stream.write([(self._subject, _encode(holder))], after=after)


class JetStreamCount:
    """How many partitions keys are spread over: fixed with the first server that says more than
    one, before anything else is kept under the prefix. `open` first."""

    def __init__(self, client: Client, target: JetStreamTarget) -> None:
        self._prefix = target.prefix
        self._subject = f"{target.prefix}-leases._count"  # no partition can be called so
        self._stream = _stream(client, target)

    async def open(self) -> None:
        """See Stream.open."""
        await self._stream.open()

    async def agree(self, count: int) -> None:
        """Raises Refused where it is another one; StoreUnavailable."""
        found = await self._stream.last(self._subject)
        if found is None and count > 1:
            # Refused where somebody was faster, or there is more than nothing.
            with suppress(NotLast, OutcomeUnknown):
                await self._stream.write_first(self._subject, _encode(count))
            found = await self._stream.last(self._subject)
        fixed = 1 if found is None else _count(found.data)
        if fixed != count:
            raise Refused(
                f"feeds with the prefix {self._prefix} have {fixed} "
                f"partition{'s' * (fixed != 1)}, not {count}: that is fixed once there are any; "
                f"say --feeds-partitions {fixed}, or begin other feeds with another --feeds-prefix"
            )


def _stream(client: Client, target: JetStreamTarget) -> Stream:
    return Stream(
        client, f"{target.prefix}-leases", [f"{target.prefix}-leases.*"],
        replicas=target.replicas, most_of_subject=1,
    )  # fmt: skip
