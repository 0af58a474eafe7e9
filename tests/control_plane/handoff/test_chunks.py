"""Chunks: any state in parts becomes full chunks, and every damage to them is found."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.errors import DataLoss
from control_plane.handoff.chunks import (
    CHUNK_BYTES,
    Chunk,
    ChunkVerifier,
    StateTooLarge,
    chunked,
)

DATA = bytes(range(256)) * (CHUNK_BYTES // 128)  # two chunks


async def chunks_of(*parts: bytes) -> list[Chunk]:
    async def given_parts():
        for part in parts:
            yield part

    return [chunk async for chunk in chunked(given_parts())]


def accepted(chunks: list[Chunk], max_bytes: int = 1 << 30) -> ChunkVerifier:
    verifier = ChunkVerifier(max_bytes=max_bytes)
    for chunk in chunks:
        verifier.accept(chunk)
    verifier.finish()
    return verifier


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2 * CHUNK_BYTES + 1), max_size=5))
async def test_parts_of_any_size_become_full_chunks_that_verify(sizes):
    parts = [bytes([n]) * size for n, size in enumerate(sizes)]
    chunks = await chunks_of(*parts)
    assert b"".join(chunk.data for chunk in chunks) == b"".join(parts)
    assert all(len(chunk.data) == CHUNK_BYTES for chunk in chunks[:-1])
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    verifier = accepted(chunks)
    assert (verifier.bytes, verifier.complete) == (sum(sizes), True)
    assert verifier.sha256 == hashlib.sha256(b"".join(parts)).digest()


async def test_no_state_is_one_empty_chunk():
    (chunk,) = await chunks_of()
    assert (chunk.data, chunk.last) == (b"", True)
    assert accepted([chunk]).bytes == 0


def hurt(chunk: Chunk, **changes: object) -> Chunk:
    changed = replace(chunk, **changes)
    return replace(changed, crc32=zlib.crc32(changed.data)) if "data" in changes else changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda c: [c[0], *c], "begins at byte 0 where", id="a-chunk-twice"),
        pytest.param(lambda c: c[1:], "where byte 0 was due", id="the-first-is-missing"),
        pytest.param(lambda c: c[:1], "without its last chunk", id="cut-short"),
        pytest.param(lambda c: [*c, c[-1]], "follows the last one", id="more-after-the-last"),
        pytest.param(lambda c: [hurt(c[0], crc32=1), c[1]], "checksum", id="a-wrong-checksum"),
        pytest.param(
            lambda c: [hurt(c[0], data=b"\0" * CHUNK_BYTES), c[1]],
            "SHA-256",
            id="other-bytes-with-their-own-checksum",
        ),
        pytest.param(lambda c: [c[0], hurt(c[1], sha256=b"x")], "SHA-256", id="a-wrong-sum"),
        pytest.param(lambda c: [hurt(c[0], data=b""), c[1]], "is empty", id="an-empty-chunk"),
        pytest.param(
            lambda c: [hurt(c[0], data=b"x" * (CHUNK_BYTES + 1)), c[1]],
            "at most",
            id="a-chunk-that-is-too-large",
        ),
    ],
)
async def test_damage_is_found(change, message):
    chunks = await chunks_of(DATA)
    assert len(chunks) == 2
    with pytest.raises(DataLoss, match=message):
        accepted(change(chunks))


async def test_a_state_above_the_bound_is_refused_and_one_at_it_is_not():
    chunks = await chunks_of(DATA)
    assert accepted(chunks, max_bytes=len(DATA)).complete
    with pytest.raises(StateTooLarge, match="--max-state-bytes"):
        accepted(chunks, max_bytes=len(DATA) - 1)
