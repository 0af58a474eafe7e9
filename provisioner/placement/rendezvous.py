"""Rendezvous hashing: which of several equal units a client belongs to.

Every unit scores every client and the highest score wins, so a unit that comes or goes
changes only what it wins or had won (Thaler and Ravishankar, "Using name-based mappings to
increase hit rates", IEEE/ACM ToN 6(1), 1998). With weights, a unit's score is
-weight / ln(h) for a hash h uniform in (0, 1), which makes it win in proportion to its
weight (logarithmic method of Schindelhauer and Schomaker, "Weighted distributed hash
tables", SPAA 2005).

One hash per client, then a few integer operations per unit: the mixer is the finaliser of
splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014).
"""

from __future__ import annotations

from hashlib import blake2b
from math import log

_MASK = (1 << 64) - 1
_SCALE = 1.0 / (1 << 53)


def seed_of(name: str) -> int:
    """A 64-bit hash of a name, the same on every machine and in every run."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def score(client_seed: int, unit_seed: int, weight: float) -> float:
    """How strongly a unit attracts a client; the highest wins."""
    z = (client_seed ^ unit_seed) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    z ^= z >> 31
    uniform = ((z >> 11) + 0.5) * _SCALE  # in (0, 1), never 0 or 1
    return -weight / log(uniform)
