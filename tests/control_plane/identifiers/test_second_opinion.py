"""ICU's SpoofChecker on random handles: it holds the same pairs to look alike as we do, and keys
hold all of these together.

Its data may be of an earlier Unicode, and it reads no text from right to left: what is compared is
made of characters of which both say the same by themselves."""

from __future__ import annotations

import random
import unicodedata
from collections import defaultdict
from collections.abc import Callable

import pytest

from control_plane.identifiers.folding import simple_fold
from control_plane.identifiers.skeleton import handle_key, skeleton
from control_plane.identifiers.unicode_tables import unicode_tables
from tests.support.icu_spoof import icu_skeleton

pytestmark = pytest.mark.corpora
LOOKALIKE = 0.4  # of the characters of a handle, in its neighbour


def compared(icu: Callable[[str], str]) -> list[str]:
    return [
        one
        for one in sorted(unicode_tables().scripts)
        if unicodedata.bidirectional(one) not in ("R", "AL", "AN")
        and icu(one) == skeleton(one)
        and simple_fold(one) == one  # as handles are
    ]


def test_most_characters_of_handles_are_compared() -> None:
    assert len(compared(icu_skeleton())) > 30_000


def agree_on(pairs: int) -> None:
    icu, rng = icu_skeleton(), random.Random(39)
    alike = defaultdict(list)
    for one in compared(icu):
        alike[skeleton(one)].append(one)
    several = [some for some in alike.values() if len(some) > 1]
    known = [some[0] for some in alike.values()]
    of = {one: some for some in alike.values() for one in some}
    confusable, different = 0, []
    for _ in range(pairs):
        first = [
            rng.choice(rng.choice(several) if rng.random() < 0.7 else known)
            for _ in range(rng.randint(2, 12))
        ]
        second = [rng.choice(of[one]) if rng.random() < LOOKALIKE else one for one in first]
        if rng.random() < 0.5:
            second[rng.randrange(len(second))] = rng.choice(known)
        a, b = "".join(first), "".join(second)
        ours, theirs = skeleton(a) == skeleton(b), icu(a) == icu(b)
        confusable += theirs
        if ours != theirs or (theirs and handle_key(a) != handle_key(b)):
            different.append((a, b, ours))
    assert different == []
    assert pairs * 0.3 < confusable < pairs * 0.8


def test_the_same_pairs_look_alike() -> None:
    agree_on(2_000)


@pytest.mark.slow
def test_the_same_pairs_of_a_hundred_thousand_look_alike() -> None:
    agree_on(100_000)
