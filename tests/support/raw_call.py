"""A unary gRPC call with headers exactly as given: lines that repeat, in their order.

gRPC's own client joins or drops some of them, so this writes HTTP/2 itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from simulation.load.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    frame,
    grpc_headers,
    grpc_message,
    header_block,
    settings,
    split,
)

GIVE_UP_S = 20.0
GRPC_PREFIX = 5


async def raw_call(
    address: str, path: str, payload: bytes, headers: Iterable[tuple[str, str]]
) -> bytes:
    """The response message. Raises AssertionError where there is none."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(GIVE_UP_S):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            block = grpc_headers(path, address) + header_block(headers)
            writer.write(
                PREFACE
                + settings(header_table_size=0)
                + frame(HEADERS, END_HEADERS, 1, block)
                + frame(DATA, END_STREAM, 1, grpc_message(payload))
            )
            await writer.drain()
            return await _answer(reader, writer)
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    unread, body = b"", bytearray()
    while chunk := await reader.read(65_536):
        unread += chunk
        frames, end = split(unread)
        for kind, flags, stream, start, stop in frames:
            if kind == SETTINGS and not flags & ACK:
                writer.write(frame(SETTINGS, ACK, 0, b""))
            if kind == DATA and stream == 1:
                body += unread[start:stop]
            if kind == HEADERS and flags & END_STREAM:
                assert len(body) >= GRPC_PREFIX, f"the call failed: {unread[start:stop]!r}"
                return bytes(body[GRPC_PREFIX:])
        unread = unread[end:]
    raise AssertionError("the server hung up")
