"""Rendezvous hashing: which of several equal units a client belongs to.

Every unit scores every client and the highest score wins, so a unit that comes or goes
changes only what it wins or had won (Thaler and Ravishankar, "Using name-based mappings to
increase hit rates", IEEE/ACM ToN 6(1), 1998). With weights, a unit's score is
-weight / ln(h) for a hash h uniform in (0, 1), which makes it win in proportion to its
weight (logarithmic method of Schindelhauer and Schomaker, "Weighted distributed hash
tables", SPAA 2005).

Clients are hashed into SLOTS slots first, and it is slots that are scored. So what any set
of equal units does with all clients is a table of SLOTS winners, which can be kept; a share
is exact to a tenth of a per cent. The mixer is the finaliser of splitmix64 (Steele, Lea and
Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import log
from zlib import crc32

import numpy as np

SLOTS = 1024
SLOT_MASK = SLOTS - 1
_MASK = (1 << 64) - 1
_SCALE = 1.0 / (1 << 53)


def slot_of(client_key: bytes) -> int:
    """The slot of a client, 0 to SLOTS - 1, the same on every machine and in every run."""
    return crc32(client_key) & SLOT_MASK


def seed_of(name: str) -> int:
    """A 64-bit hash of a name, the same on every machine and in every run."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


SLOT_SEEDS = [seed_of(f"slot {slot}") for slot in range(SLOTS)]
_SLOT_SEEDS = np.array(SLOT_SEEDS, dtype=np.uint64)


def score(slot: int, unit_seed: int, weight: float) -> float:
    """How strongly a unit attracts the clients of a slot; the highest wins."""
    z = SLOT_SEEDS[slot] ^ unit_seed
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    z ^= z >> 31
    uniform = ((z >> 11) + 0.5) * _SCALE  # in (0, 1), never 0 or 1
    return -weight / log(uniform)


def winners(unit_seeds: Sequence[int], weights: Sequence[float]) -> Sequence[int]:
    """For each slot, which of these units wins it, by place in the sequence. As bytes where
    that is possible, because a server keeps thousands of these."""
    z = np.array(unit_seeds, dtype=np.uint64)[:, None] ^ _SLOT_SEEDS[None, :]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    uniform = ((z >> np.uint64(11)).astype(np.float64) + 0.5) * _SCALE
    scores = -np.array(weights)[:, None] / np.log(uniform)
    found: list[int] = np.argmax(scores, axis=0).tolist()
    return bytes(found) if len(unit_seeds) <= 256 else found
