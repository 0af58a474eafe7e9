"""Chunks: the pieces in which a client's state travels, and the check that all of it came.

A stream is a row of chunks without gap, each with its CRC-32, the last one with the SHA-256
of everything. Pure; a ChunkVerifier that is complete and raised nothing has seen it all.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from control_plane.errors import DataLoss, Refused

CHUNK_BYTES = 256 * 1024
MAX_STATE_BYTES = 64 * 1024 * 1024  # unless set otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Part of a client's state."""

    offset: int  # bytes before it
    data: bytes  # at most CHUNK_BYTES
    crc32: int  # of data
    last: bool = False
    sha256: bytes = b""  # of all data; in the last chunk


class StateTooLarge(Refused):
    """The state is larger than this unit takes."""

    reason = "STATE_TOO_LARGE"


class ChunkVerifier:
    """Checks the chunks of one stream, in their order."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self.bytes = 0
        self.sha256 = b""  # of all; empty until the last chunk was seen

    @property
    def complete(self) -> bool:
        """Whether the last chunk was seen."""
        return bool(self.sha256)

    def accept(self, chunk: Chunk) -> None:
        """Checks the next chunk. Raises DataLoss, StateTooLarge."""
        if self.complete:
            raise DataLoss("a chunk follows the last one; hand the client over again")
        if chunk.offset != self.bytes:
            raise DataLoss(
                f"a chunk begins at byte {chunk.offset} where byte {self.bytes} was due; "
                "hand the client over again"
            )
        if len(chunk.data) > CHUNK_BYTES:
            raise DataLoss(f"a chunk has {len(chunk.data)} bytes; at most {CHUNK_BYTES} may be")
        if not chunk.data and not chunk.last:
            raise DataLoss(f"the chunk at byte {chunk.offset} is empty and not the last one")
        if zlib.crc32(chunk.data) != chunk.crc32:
            raise DataLoss(
                f"the chunk at byte {chunk.offset} does not match its checksum; "
                "hand the client over again"
            )
        if self.bytes + len(chunk.data) > self._max_bytes:
            raise StateTooLarge(
                f"the client's state is larger than the {self._max_bytes} bytes this unit takes; "
                "raise --max-state-bytes there"
            )
        self._hash.update(chunk.data)
        self.bytes += len(chunk.data)
        if chunk.last:
            digest = self._hash.digest()
            if digest != chunk.sha256:
                raise DataLoss(
                    f"the {self.bytes} bytes do not match their SHA-256; hand the client over again"
                )
            self.sha256 = digest

    def finish(self) -> None:
        """The stream has ended. Raises DataLoss when it was cut short."""
        if not self.complete:
            raise DataLoss(
                f"the stream ended after {self.bytes} bytes without its last chunk; "
                "hand the client over again"
            )


async def chunked(parts: AsyncIterator[bytes]) -> AsyncIterator[Chunk]:
    """Parts of any size as chunks, each full but the last; at least one. Holds no more than
    one part and one chunk."""
    digest = hashlib.sha256()
    offset = 0
    pending = bytearray()
    async for part in parts:
        pending += part
        while len(pending) > CHUNK_BYTES:
            data = bytes(pending[:CHUNK_BYTES])
            del pending[:CHUNK_BYTES]
            digest.update(data)
            yield Chunk(offset=offset, data=data, crc32=zlib.crc32(data))
            offset += len(data)
    data = bytes(pending)
    digest.update(data)
    yield Chunk(offset=offset, data=data, crc32=zlib.crc32(data), last=True, sha256=digest.digest())
