"""Numbers that look random and are not: one of a counter and a seed, for one or for many.

The finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014) over a counter, so that number n costs the same whatever came before.
`mixed` and `mixed_many` agree to the bit; so do `fraction` and `fractions`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_SCALE = 2.0**-53


def mixed(number: int, seed: int) -> int:
    """64 bits of `number` under `seed`; of both only the low 64 bits count."""
    z = ((number + 1) * _STEP + seed * _SECOND) & _MASK
    z = ((z ^ z >> 30) * _FIRST) & _MASK
    z = ((z ^ z >> 27) * _SECOND) & _MASK
    return z ^ z >> 31


def mixed_many(numbers: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """`mixed` of each; shape as given."""
    z = (numbers + np.uint64(1)) * np.uint64(_STEP)
    z += np.uint64(seed * _SECOND & _MASK)
    z ^= z >> np.uint64(30)
    z *= np.uint64(_FIRST)
    z ^= z >> np.uint64(27)
    z *= np.uint64(_SECOND)
    z ^= z >> np.uint64(31)
    return z


def fraction(bits: int) -> float:
    """64 bits as a number from 0.0 up to but without 1.0, by their first 53."""
    return (bits >> 11) * _SCALE


def fractions(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """`fraction` of each; shape as given."""
    found: NDArray[np.float64] = (bits >> np.uint64(11)).astype(np.float64) * _SCALE
    return found
