"""The search tree of an mmdb file, flattened to sorted ranges.

Format: https://maxmind.github.io/MaxMind-DB/. The tree is expanded level by level with
numpy, once per file; what comes out are the starts of ranges and the record each points to.
A lookup is then a jump by the first 16 bits and a bisection of what is left, about four
steps, instead of one step a bit.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.uint64]
JUMP_BITS = 16
NO_RECORD = -1


class DamagedTree(Exception):
    """The tree points outside itself and the data."""


def read_nodes(tree: bytes, node_count: int, record_bits: int) -> tuple[Numbers, Numbers]:
    """Left and right child of each node; arrays of shape (node_count,)."""
    raw = np.frombuffer(tree, dtype=np.uint8).reshape(node_count, record_bits // 4)
    byte = raw.astype(np.uint64)

    def number(*columns: int) -> Numbers:
        value = np.zeros(node_count, dtype=np.uint64)
        for column in columns:
            value = (value << np.uint64(8)) | byte[:, column]
        return value

    if record_bits == 24:
        return number(0, 1, 2), number(3, 4, 5)
    if record_bits == 28:
        high = byte[:, 3]
        left = ((high >> np.uint64(4)) << np.uint64(24)) | number(0, 1, 2)
        right = ((high & np.uint64(15)) << np.uint64(24)) | number(4, 5, 6)
        return left, right
    if record_bits == 32:
        return number(0, 1, 2, 3), number(4, 5, 6, 7)
    raise DamagedTree(f"records of {record_bits} bits are not of this format")


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of a key space of `bits` bits: range i goes from starts[i] to starts[i + 1] - 1
    and its record is values[i], NO_RECORD for none."""

    bits: int
    starts: array[int]
    values: array[int]
    jumps: Sequence[int]  # first 16 bits -> the range that holds the first key with them

    def find(self, key: int) -> int:
        """The value of the range that holds `key`."""
        slot = key >> (self.bits - JUMP_BITS)
        jumps = self.jumps
        low, high = jumps[slot], jumps[slot + 1] + 1
        return self.values[bisect_right(self.starts, key, low, high) - 1]


def flatten(left: Numbers, right: Numbers, root: int, bits: int) -> tuple[Numbers, Numbers]:
    """(starts, targets) of the subtree at `root` over keys of `bits` bits, by start.

    A target is a child number at or past the node count (none, or data). Networks longer
    than `bits` are cut: the first record below them counts. Raises DamagedTree for a tree
    that has more nodes on a level than the level can hold, as one with loops has.
    """
    count = np.uint64(len(left))
    nodes = np.array([root], dtype=np.uint64)
    prefixes = np.zeros(1, dtype=np.uint64)
    starts: list[Numbers] = []
    targets: list[Numbers] = []
    for depth in range(1, bits + 1):
        if not len(nodes):
            break
        if len(nodes) > len(left):
            raise DamagedTree("the search tree has loops")
        children = np.concatenate((left[nodes], right[nodes]))
        shifted = prefixes << np.uint64(1)
        below = np.concatenate((shifted, shifted | np.uint64(1)))
        done = children >= count
        starts.append(below[done] << np.uint64(bits - depth))
        targets.append(children[done])
        nodes, prefixes = children[~done], below[~done]
    while len(nodes):
        # Longer networks than the key has bits: go left until there is a record.
        children = left[nodes]
        done = children >= count
        starts.append(prefixes[done])
        targets.append(children[done])
        nodes, prefixes = children[~done], prefixes[~done]
        if len(starts) > 200:
            raise DamagedTree("the search tree has loops")
    all_starts, all_targets = np.concatenate(starts), np.concatenate(targets)
    order = np.argsort(all_starts, kind="stable")
    return all_starts[order], all_targets[order]


def ranges(bits: int, starts: Numbers, values: NDArray[np.int64]) -> Ranges:
    """Ranges with equal neighbours merged."""
    keep = np.ones(len(values), dtype=bool)
    keep[1:] = values[1:] != values[:-1]
    starts, values = starts[keep], values[keep]
    edges = np.arange((1 << JUMP_BITS) + 1, dtype=np.uint64) << np.uint64(bits - JUMP_BITS)
    if bits == 64:
        edges[-1] = np.iinfo(np.uint64).max
    jumps = np.searchsorted(starts, edges, side="right") - 1
    return Ranges(
        bits=bits,
        starts=array(
            "Q" if bits == 64 else "I", starts.astype("u8" if bits == 64 else "u4").tobytes()
        ),
        values=array("i", values.astype("i4").tobytes()),
        jumps=array("i", jumps.astype("i4").tobytes()),
    )
