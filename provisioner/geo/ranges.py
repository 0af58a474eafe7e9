"""Ranges: a key space cut into pieces, each with one value.

Two table reads answer most lookups: the first 16 bits of a key lead to a block, the next bits
to an entry in it, and where all keys that come there lie in one piece, the entry is its value.
Elsewhere it says where to bisect the few pieces that begin there. Blocks that are alike are
one, and their size follows the number of pieces, so that a small file stays small (after
Gupta, Lin and McKeown, Routing Lookups in Hardware at Memory Access Speeds, 1998).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from provisioner.geo.tree import Numbers, Values, distinct

NO_RECORD = -1
FIRST_BITS = 16
MOST_ENTRIES = 1 << 22  # 16 MiB
ENTRIES_PER_RANGE = 40
ENTRIES_AT_ONCE = 1 << 17  # while they are made, so that it takes little memory
_MIXED = -(1 << 30)  # entries at or below it: _MIXED minus the range where the entry begins


@dataclass(frozen=True, eq=False)
class Ranges:
    """Range i goes from starts[i] to starts[i + 1] - 1, the last one to the end of the key
    space, and its value is values[i]. starts[0] is 0. Made by `ranges`."""

    bits: int  # of a key, 32 or 64
    starts: array[int]
    values: array[int]
    blocks: array[int]  # first bits of a key -> where its block begins in `entries`
    entries: array[int]
    first_shift: int
    shift: int  # key >> shift & mask is a key's place in its block
    mask: int
    widest: int  # most ranges that share an entry

    def __len__(self) -> int:
        return len(self.starts)

    def find(self, key: int) -> int:
        """The value of the range that holds `key`, which is below 2**bits."""
        entry = self.entries[self.blocks[key >> self.first_shift] + (key >> self.shift & self.mask)]
        if entry > _MIXED:
            return entry
        first = _MIXED - entry
        last = min(first + self.widest, len(self.starts))
        return self.values[bisect_right(self.starts, key, first, last) - 1]

    def around(self, key: int) -> tuple[int, int]:
        """The first and the last key of the range that holds `key`, which is below 2**bits."""
        place = bisect_right(self.starts, key) - 1
        last = self.starts[place + 1] if place + 1 < len(self.starts) else 1 << self.bits
        return self.starts[place], last - 1

    def find_many(self, keys: NDArray[Any]) -> NDArray[np.int64]:
        """The same for an array of keys, int64 or uint64."""
        starts, values, blocks, entries = self._tables
        block = blocks[(keys >> keys.dtype.type(self.first_shift)).astype(np.int64)]
        place = (keys >> keys.dtype.type(self.shift)).astype(np.int64) & self.mask
        found: NDArray[np.int64] = entries[block + place].astype(np.int64)
        mixed = found <= _MIXED
        if mixed.any():
            among = keys[mixed].astype(starts.dtype)
            found[mixed] = values[np.searchsorted(starts, among, side="right") - 1]
        return found

    @cached_property
    def _tables(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """starts, values, blocks and entries as NumPy sees them; no copies."""
        tables = (self.starts, self.values, self.blocks, self.entries)
        return tuple(np.frombuffer(one, dtype=one.typecode) for one in tables)  # type: ignore[return-value]


def ranges(bits: int, starts: Numbers, values: Values) -> Ranges:
    """From sorted starts, the first of them 0, and for each a value above -2**30. Neighbours
    with the same value become one."""
    keep = np.ones(len(values), dtype=bool)
    keep[1:] = values[1:] != values[:-1]
    starts, values = starts[keep], values[keep]

    first, last = _reach(starts, np.arange(1 << FIRST_BITS, dtype=np.uint64), bits - FIRST_BITS)
    alike = first == last
    whole = distinct(values[first[alike]])  # values that fill blocks
    divided = np.flatnonzero(~alike).astype(np.uint64)
    room = min(MOST_ENTRIES, len(starts) * ENTRIES_PER_RANGE) // (len(whole) + len(divided))
    block_bits = min(max(room.bit_length() - 1, 0), 16)
    shift = bits - FIRST_BITS - block_bits
    size = 1 << block_bits
    entries = np.empty((len(whole) + len(divided), size), dtype=np.int32)
    entries[: len(whole)] = whole[:, None]
    widest = 1
    inside = np.arange(size, dtype=np.uint64)
    step = max(1, ENTRIES_AT_ONCE // size)
    for place in range(0, len(divided), step):
        chunk = divided[place : place + step, None]
        begins, ends = _reach(starts, (chunk << np.uint64(block_bits)) + inside, shift)
        filled = np.where(begins == ends, values[begins], _MIXED - begins)
        entries[len(whole) + place : len(whole) + place + len(chunk)] = filled
        widest = max(widest, int((ends - begins).max()) + 1)
    block_of = np.zeros(1 << FIRST_BITS, dtype=np.int64)
    block_of[alike] = np.searchsorted(whole, values[first[alike]])
    block_of[~alike] = np.arange(len(divided)) + len(whole)
    return Ranges(
        bits=bits,
        starts=_array("Q" if bits == 64 else "I", starts),
        values=_array("i", values),
        blocks=_array("i", block_of * size),
        entries=_array("i", entries),
        first_shift=bits - FIRST_BITS,
        shift=shift,
        mask=size - 1,
        widest=widest,
    )


def _reach(starts: Numbers, slots: Numbers, shift: int) -> tuple[Values, Values]:
    """The first and the last range of the keys that begin with each of `slots`."""
    low = slots << np.uint64(shift)
    high = low + np.uint64((1 << shift) - 1)
    return (
        np.searchsorted(starts, low, side="right") - 1,
        np.searchsorted(starts, high, side="right") - 1,
    )


def cleared(
    bits: int, starts: Numbers, values: Values, firsts: Numbers, lasts: Numbers
) -> tuple[Numbers, Values]:
    """Starts and values with NO_RECORD from each of `firsts` to its `lasts`, both included."""
    ends = lasts[lasts < np.uint64((1 << bits) - 1)] + np.uint64(1)
    cut = distinct(np.concatenate((starts, firsts, ends)))
    filled = values[np.searchsorted(starts, cut, side="right") - 1]
    for first, last in zip(firsts, lasts, strict=True):
        begin, end = np.searchsorted(cut, first), np.searchsorted(cut, last, side="right")
        filled[begin:end] = NO_RECORD
    return cut, filled


def _array(code: str, numbers: NDArray[Any]) -> array[int]:
    made: array[int] = array(code)
    made.frombytes(np.ascontiguousarray(numbers, dtype=np.dtype(code)).tobytes())
    return made
