"""Voices that servers share: what a server's own clients told, in few records of bounded size, and
what the records of other servers say.

A server's pairs fall into `CHUNKS` chunks by their cell. A chunk holds the pairs reported last, as
many as fit; networks are in it by a digest, clients not at all. A record that cannot be read, or
says more than a server may, is refused as a whole. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Annotated
from zlib import crc32

import msgspec

from provisioner.latencies.estimates import MOST_CLIENTS
from provisioner.latencies.plausible import LEAST_MS, MOST_MS
from provisioner.latencies.voices import FORGOTTEN_S, MOST_NETWORKS, Pair, Voice

CHUNKS = 64  # of a server
MOST_BYTES = 32_768  # of a chunk
FORMAT = 1
_ROUNDED_MS = 2  # decimals


class _SharedVoice(msgspec.Struct, array_like=True, frozen=True):
    network: Annotated[str, msgspec.Meta(min_length=16, max_length=16)]
    ms: Annotated[float, msgspec.Meta(ge=LEAST_MS, le=MOST_MS)]
    clients: Annotated[int, msgspec.Meta(ge=1, le=MOST_CLIENTS)]
    age_s: Annotated[int, msgspec.Meta(ge=0)]  # when the chunk was made


class _SharedPair(msgspec.Struct, array_like=True, frozen=True):
    cell: str
    unit: str
    voices: Annotated[list[_SharedVoice], msgspec.Meta(max_length=MOST_NETWORKS)]


class _Chunk(msgspec.Struct, frozen=True):
    format: Annotated[int, msgspec.Meta(ge=FORMAT, le=FORMAT)]
    at: int  # Unix seconds
    pairs: list[_SharedPair]


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(_Chunk)


def digest_of(network: str) -> str:
    """By what a network is known among servers.

    >>> digest_of("192.0.2.0/24")
    '4c526e82926b3deb'
    """
    return blake2b(network.encode(), digest_size=8).hexdigest()


def chunk_of(cell: str) -> int:
    """In which chunk of a server the pairs of a cell are."""
    return crc32(cell.encode()) % CHUNKS


def encode_chunk(pairs: Mapping[Pair, list[Voice]], *, now: float, wall: float) -> bytes:
    """Those told last, as many as fit; empty: there is nothing to tell. now: the clock of the
    voices; wall: Unix seconds."""
    told = sorted(
        ((max(one.at for one in voices), pair, voices) for pair, voices in pairs.items() if voices),
        key=lambda entry: (-entry[0], entry[1]),
    )
    texts: list[bytes] = []
    head = b'{"format":%d,"at":%d,"pairs":[' % (FORMAT, wall)
    left = MOST_BYTES - len(head) - len(b"]}")
    for _, (cell, unit), voices in told:
        shared = [
            _SharedVoice(
                one.network,
                min(MOST_MS, max(LEAST_MS, round(one.ms, _ROUNDED_MS))),
                one.clients,
                max(0, round(now - one.at)),
            )
            for one in voices
        ]
        text = _encode(_SharedPair(cell, unit, shared))
        left -= len(text) + 1
        if left < 0:
            break
        texts.append(text)
    return head + b",".join(texts) + b"]}" if texts else b""


def decode_chunk(value: bytes, *, now: float, wall: float) -> dict[Pair, list[Voice]]:
    """What a record of another server says, at times of this one's clock; what is to come, by a
    clock that is ahead, counts as of now. Raises msgspec.DecodeError."""
    if len(value) > MOST_BYTES:
        raise msgspec.DecodeError(f"a chunk has at most {MOST_BYTES:,} bytes")
    chunk = _decoder.decode(value)
    since = max(0.0, wall - chunk.at)
    found: dict[Pair, list[Voice]] = {}
    for pair in chunk.pairs:
        voices = [
            Voice(one.network, one.ms, one.clients, now - since - one.age_s)
            for one in pair.voices
            if since + one.age_s < FORGOTTEN_S
        ]
        if voices:
            found[pair.cell, pair.unit] = voices
    return found


class OthersVoices:
    """What other servers' records say, by pair."""

    def __init__(self) -> None:
        self._records: dict[str, Mapping[Pair, list[Voice]]] = {}
        self._names: dict[Pair, set[str]] = {}

    def put(self, name: str, pairs: Mapping[Pair, list[Voice]]) -> None:
        """A record says this now, and nothing else."""
        for pair in self._records.pop(name, {}):
            names = self._names[pair]
            names.discard(name)
            if not names:
                del self._names[pair]
        if pairs:
            self._records[name] = pairs
            for pair in pairs:
                self._names.setdefault(pair, set()).add(name)

    def of(self, pair: Pair) -> Iterable[Voice]:
        """Of one pair."""
        for name in self._names.get(pair, ()):
            yield from self._records[name][pair]

    def pairs(self) -> Iterable[Pair]:
        """Of which something is told."""
        return self._names.keys()
