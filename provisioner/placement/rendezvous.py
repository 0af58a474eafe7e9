"""Rendezvous hashing: which of several equal units a client belongs to.

Every unit scores every client and the highest score wins, so a unit that comes or goes
changes only what it wins or had won (Thaler and Ravishankar, "Using name-based mappings to
increase hit rates", IEEE/ACM ToN 6(1), 1998). With weights, a unit's score is
-weight / ln(h) for a hash h uniform in (0, 1), which makes it win in proportion to its
weight (logarithmic method of Schindelhauer and Schomaker, "Weighted distributed hash
tables", SPAA 2005).

Clients are hashed into SLOTS slots first, and it is slots that are scored. So what any set
of equal units does with all clients is a table of SLOTS winners, which can be kept. The
price: a unit that should win the share p of all clients wins p ± sqrt(p (1 - p) / SLOTS),
one standard deviation, and always that (two equal units: 50 % ± 1.1 %). Load steps even it
out as units fill. The mixer is the finaliser of splitmix64 (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from provisioner.placement.geodesy import Floats

SLOTS = 2048
SLOT_MASK = SLOTS - 1
MOST_IN_TABLE = 256  # units; a table's entries are bytes
ROWS_KEPT = 2048  # of SLOTS doubles each, 32 MiB when all are there
_SCALE = 1.0 / (1 << 52)

Seeds: TypeAlias = NDArray[np.uint64]


def slot_of(client_key: bytes) -> int:
    """The slot of a client, 0 to SLOTS - 1, the same on every machine and in every run."""
    return crc32(client_key) & SLOT_MASK


@lru_cache(maxsize=65_536)
def seed_of(name: str) -> int:
    """A 64-bit hash of a name, the same on every machine and in every run."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


_SLOT_SEEDS: Seeds = np.array(
    [
        int.from_bytes(blake2b(b"slot %d" % slot, digest_size=8).digest(), "big")
        for slot in range(SLOTS)
    ],
    dtype=np.uint64,
)


def scores_in_slot(slot: int, unit_seeds: Seeds, weights: Floats) -> Floats:
    """How strongly each of these units attracts the clients of a slot; the highest wins."""
    return _scores(unit_seeds ^ _SLOT_SEEDS[slot], weights)


def scores_in_slots(slots: NDArray[np.intp], unit_seeds: Seeds, weights: Floats) -> Floats:
    """`scores_in_slot` of each of some slots; shape (slots, units)."""
    return _scores(_SLOT_SEEDS[slots][:, np.newaxis] ^ unit_seeds, weights)


def scores_of_pairs(slots: NDArray[np.intp], unit_seeds: Seeds, weights: Floats) -> Floats:
    """How strongly each unit attracts the clients of the slot beside it; arrays in step."""
    return _scores(_SLOT_SEEDS[slots] ^ unit_seeds, weights)


def winners(unit_seeds: Sequence[int], weights: Sequence[float]) -> bytes:
    """For each slot, which of at most MOST_IN_TABLE units wins it, by place in the sequence."""
    best = _row(unit_seeds[0], weights[0]).copy()
    table = np.zeros(SLOTS, dtype=np.uint8)
    # Row by row: numpy's argmax over the stacked rows takes ten times as long.
    for place in range(1, len(unit_seeds)):
        row = _row(unit_seeds[place], weights[place])
        np.copyto(table, place, where=row > best)
        np.maximum(best, row, out=best)
    return bytes(table)


@lru_cache(maxsize=ROWS_KEPT)
def _row(unit_seed: int, weight: float) -> Floats:
    """One unit's scores in all slots. Kept, because a unit is in the tables of many places
    and a table is made anew whenever one of its units changes: with its rows at hand it
    takes a fifth of the time."""
    row = _scores(_SLOT_SEEDS ^ np.uint64(unit_seed), weight)
    row.flags.writeable = False
    return row


def _scores(mixed: Seeds, weights: Floats | float) -> Floats:
    """In place, because half the time of a row would go into fresh memory."""
    z = mixed >> np.uint64(30)
    z ^= mixed
    z *= np.uint64(0xBF58476D1CE4E5B9)
    shifted = z >> np.uint64(27)
    z ^= shifted
    z *= np.uint64(0x94D049BB133111EB)
    np.right_shift(z, np.uint64(31), out=shifted)
    z ^= shifted
    z >>= np.uint64(12)
    uniform: Floats = z.astype(np.float64)
    uniform += 0.5  # exact in a double, so that it is never 0 or 1 after scaling
    uniform *= _SCALE
    np.log(uniform, out=uniform)
    np.divide(weights, uniform, out=uniform)
    return np.negative(uniform, out=uniform)
