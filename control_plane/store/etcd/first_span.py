"""The first span of a long range, found without walking the range. Pure.

A page is asked for in spans (`page_spans`), and for the first page nobody knows yet how long a
span may be, nor where the keys begin: etcd has no question for it that does not walk all of them.
Here it is found from some keys of the range that were written lately. From one of them prefixes
are shortened byte by byte until enough keys share one; then each of its bytes is made as small as
keys like it exist. A guess, by the shape that ids have: keys of another shape may come to stand
before the span that is found, and are walked with it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from control_plane.keys import prefix_end

FEW = 4  # a span has too few keys below a fourth of a page
SAMPLES = 8  # so many are tried, until one has enough keys beside it
DIGITS = frozenset(b"0123456789")  # the last ids alone may not show all of them

Range: TypeAlias = tuple[bytes, bytes]  # from a key to the one behind it


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSpan:
    """end: the key behind it. depth: how many first bytes the keys of a span share."""

    end: bytes
    depth: int


def first_span(
    prefix: bytes, samples: Sequence[bytes], limit: int
) -> Generator[Sequence[Range], Sequence[int], FirstSpan | None]:
    """Yields ranges, and is sent how many keys each of them has. samples: keys with `prefix`, of
    any order; limit: keys of a page. Returns None where there are too few keys beside each of the
    samples: the range is short, or there is no telling."""
    ordered = sorted({one for one in samples if one.startswith(prefix) and one != prefix})
    step = max(1, -(-len(ordered) // SAMPLES))
    for first in range(0, len(ordered), step):
        # The longest: beside a short one, a byte less may be all keys.
        sample = max(ordered[first : first + step], key=len)
        shared = yield from _shared_by_enough(prefix, sample, limit)
        if shared:
            known = frozenset(b"".join(one[len(prefix) :] for one in ordered)) | DIGITS
            place = yield from _smallest_like(prefix, shared, sorted(known))
            return FirstSpan(end=prefix_end(place), depth=len(place))
    return None


def _shared_by_enough(
    prefix: bytes, sample: bytes, limit: int
) -> Generator[Sequence[Range], Sequence[int], bytes]:
    """The longest prefix of `sample` that a fourth of a page of keys share; empty: none longer
    than `prefix` is."""
    for depth in range(len(sample), len(prefix), -1):
        place = sample[:depth]
        (count,) = yield [(place, prefix_end(place))]
        if count >= max(1, limit // FEW):
            return place
    return b""


def _smallest_like(
    prefix: bytes, place: bytes, known: Sequence[int]
) -> Generator[Sequence[Range], Sequence[int], bytes]:
    """`place` with each byte behind `prefix` replaced by the smallest of `known` for which keys
    exist that are like it in all others, from the first to the last."""
    for at in range(len(prefix), len(place)):
        guesses = [place[:at] + bytes([one]) + place[at + 1 :] for one in known if one < place[at]]
        if not guesses:
            continue
        counts = yield [(one, prefix_end(one)) for one in guesses]
        place = next((one for one, count in zip(guesses, counts, strict=True) if count), place)
    return place
