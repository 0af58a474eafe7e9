"""The search tree of an mmdb file: read, held to its shape, and flattened.

Format: https://maxmind.github.io/MaxMind-DB/. A record of the tree is a number: below the node
count another node, the node count itself for "nothing here", above it a place in the data.
The tree is walked level by level with numpy, once per file; what comes out are the starts of
ranges and the record each points to. Whatever a damaged file may hold, the walk ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.uint64]
Records: TypeAlias = NDArray[np.uint32]
Values: TypeAlias = NDArray[np.int64]
SEPARATOR_BYTES = 16  # zeros between tree and data; numbers that would point there are wrong


class DamagedTree(Exception):
    """The tree is not one, or points outside itself and the data."""


@dataclass(frozen=True, slots=True, eq=False)
class SearchTree:
    """Left and right record of each node; arrays of shape (nodes,)."""

    left: Records
    right: Records

    @property
    def nodes(self) -> int:
        """The node count, which as a record means that there is nothing."""
        return len(self.left)

    def ipv4_root(self, ip_version: int) -> int:
        """Where the IPv4 addresses begin: the root, or ::/96 in an IPv6 tree. May be a record
        that is no node."""
        node = 0
        if ip_version == 6:
            for _ in range(96):
                if node >= self.nodes:
                    break
                node = int(self.left[node])
        return node


@dataclass(frozen=True, slots=True, eq=False)
class FlatTree:
    """A flattened subtree. Ranges begin at `starts`, in order and without gaps, and lead to
    `records`. Below the prefixes in `deeper` there are networks longer than a key; their
    record is NOTHING here."""

    starts: Numbers
    records: Records
    deeper: tuple[tuple[int, int], ...]  # (prefix, node)


def read(content: bytes, nodes: int, record_bits: int, data_bytes: int) -> SearchTree:
    """The tree of `nodes` nodes at the start of `content`. Raises DamagedTree for one that
    points outside, or has a node to which nothing leads, as one with a damaged record has."""
    raw = np.frombuffer(content, dtype=np.uint8, count=nodes * record_bits // 4)
    byte = raw.reshape(nodes, record_bits // 4)

    def number(*columns: int) -> Records:
        value = byte[:, columns[0]].astype(np.uint32)
        for column in columns[1:]:
            value <<= np.uint32(8)
            value |= byte[:, column]
        return value

    if record_bits == 24:
        tree = SearchTree(number(0, 1, 2), number(3, 4, 5))
    elif record_bits == 28:
        high = byte[:, 3].astype(np.uint32)
        left = number(0, 1, 2) | high >> np.uint32(4) << np.uint32(24)
        right = number(4, 5, 6) | (high & np.uint32(15)) << np.uint32(24)
        tree = SearchTree(left, right)
    elif record_bits == 32:
        tree = SearchTree(number(0, 1, 2, 3), number(4, 5, 6, 7))
    else:
        raise DamagedTree(f"tree records of {record_bits} bits are not of this format")
    records = np.concatenate((tree.left, tree.right))
    if int(records.max()) >= nodes + SEPARATOR_BYTES + data_bytes:
        raise DamagedTree("its search tree points past the data")
    outside = records[records > nodes]
    if len(outside) and int(outside.min()) < nodes + SEPARATOR_BYTES:
        raise DamagedTree("its search tree points between tree and data")
    leads_to = np.bincount(records[records < nodes].astype(np.int64), minlength=nodes)
    lost = int((leads_to[1:] == 0).sum())
    if lost or leads_to[0]:
        raise DamagedTree("its search tree has loops or parts that nothing leads to")
    return tree


def distinct(numbers: NDArray[Any]) -> NDArray[Any]:
    """Each number once, in order. np.unique does the same by hashing, four times as slowly."""
    ordered = np.sort(numbers)
    keep = np.ones(len(ordered), dtype=bool)
    keep[1:] = ordered[1:] != ordered[:-1]
    return ordered[keep]


def flatten(tree: SearchTree, root: int, bits: int, *, without: int | None = None) -> FlatTree:
    """The ranges below the record `root` over keys of `bits` bits. `without`, when it is a
    node, counts as nothing: IPv6 trees lead to their IPv4 part from several places. Raises
    DamagedTree for a tree that goes round in circles."""
    nothing = np.uint32(tree.nodes)
    nodes = np.array([root], dtype=np.uint32)
    prefixes = np.zeros(1, dtype=np.uint64)
    starts: list[Numbers] = []
    records: list[Records] = []
    found = 0

    def keep(at: Numbers, leading_to: Records) -> None:
        nonlocal found
        starts.append(at)
        records.append(leading_to)
        found += len(at)
        if found > 4 * tree.nodes + 4:
            raise DamagedTree("its search tree has loops")

    if root >= tree.nodes:
        keep(prefixes, nodes)
        nodes = nodes[:0]
    for depth in range(1, bits + 1):
        if not len(nodes):
            break
        children = np.concatenate((tree.left[nodes], tree.right[nodes]))
        if without is not None and without < tree.nodes:
            children[children == np.uint32(without)] = nothing
        shifted = prefixes << np.uint64(1)
        below = np.concatenate((shifted, shifted | np.uint64(1)))
        leaf = children >= nothing
        keep(below[leaf] << np.uint64(bits - depth), children[leaf])
        nodes, prefixes = children[~leaf], below[~leaf]
        if len(nodes) > tree.nodes:
            raise DamagedTree("its search tree has loops")
    if len(nodes):
        keep(prefixes, np.full(len(nodes), nothing, dtype=np.uint32))
    deeper = tuple(zip(prefixes.tolist(), nodes.tolist(), strict=True)) if len(nodes) else ()
    at, leading_to = np.concatenate(starts), np.concatenate(records)
    order = np.argsort(at, kind="stable")
    return FlatTree(starts=at[order], records=leading_to[order], deeper=deeper)
