"""Watchers on raw sockets: each a connection of its own with one WatchAssignment on it, as
devices have them. Costs the bench little, so that thousands fit beside the server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from simulation.load.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    grpc_headers,
    grpc_message,
    settings,
    split,
)

PATH = "/homeport.api.provisioning.v1.ProvisioningService/WatchAssignment"
TOGETHER = 200  # connections being made at once
WITHIN_S = 60.0


class Watcher(asyncio.Protocol):
    """One connection. `told` is set with the first message; `over` says why it ended."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.over = ""
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(PREFACE + settings())

    def watch(self, address: str, client_id: str) -> None:
        """Begins the one stream."""
        assert self._transport is not None
        request = pb.WatchAssignmentRequest(client_id=client_id).SerializeToString()
        self._transport.write(
            frame(HEADERS, END_HEADERS, 1, grpc_headers(PATH, address))
            + frame(DATA, END_STREAM, 1, grpc_message(request))
        )

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._data += data
        frames, rest = split(self._data)
        for kind, flags, stream, start, end in frames:
            if kind == SETTINGS and not flags & ACK:
                self._transport.write(frame(SETTINGS, ACK, 0, b""))
            elif kind == PING and not flags & ACK:
                self._transport.write(frame(PING, ACK, 0, self._data[start:end]))
            elif kind == DATA and stream == 1:
                self.told.set()
            elif kind in (RST_STREAM, GOAWAY) or (kind == HEADERS and flags & END_STREAM):
                self.over = f"the server ended it with frame {kind}"
                self.told.set()
        self._data = self._data[rest:]

    def connection_lost(self, error: Exception | None) -> None:
        self.over = self.over or "the connection was lost"
        self.told.set()

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.abort()


async def connect(address: str, count: int) -> list[Watcher]:
    """So many connections, with nothing on them. Raises TimeoutError, OSError."""
    host, _, port = address.rpartition(":")
    loop, turns = asyncio.get_running_loop(), asyncio.Semaphore(TOGETHER)

    async def one() -> Watcher:
        async with turns:
            return (await loop.create_connection(Watcher, host, int(port)))[1]

    async with asyncio.timeout(WITHIN_S):
        return list(await asyncio.gather(*(one() for _ in range(count))))


async def begin(watchers: Sequence[Watcher], address: str, client_ids: Sequence[str]) -> int:
    """Each watches one client; how many were told a home. Raises TimeoutError."""
    async with asyncio.timeout(WITHIN_S):
        for start in range(0, len(watchers), TOGETHER):
            some = watchers[start : start + TOGETHER]
            for watcher, client_id in zip(some, client_ids[start:], strict=False):
                watcher.watch(address, client_id)
            for watcher in some:
                await watcher.told.wait()
    return sum(not watcher.over for watcher in watchers)
