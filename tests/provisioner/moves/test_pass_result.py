"""What one pass of a job came to."""

from __future__ import annotations

import pytest

from provisioner.moves.move_operation import Moved, NotMoved, Superseded
from provisioner.moves.pass_result import PassResult

MOVED = Moved("virginia", 2, 1_000, 1_000)


def test_moved_kept_and_superseded_are_told_apart():
    result = PassResult()
    assert result.add([MOVED, NotMoved("full"), Superseded(None), MOVED]) == 2
    assert result.add([MOVED, NotMoved("full")]) == 1
    assert (result.moved, result.kept) == (3, 2)


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        pytest.param([], "", id="nobody-had-to-stay"),
        pytest.param(["full"], "1 client stays: full", id="one"),
        pytest.param(["b", "a", "b", "c"], "4 clients stay: b", id="the-reason-of-most"),
        pytest.param(["b", "a"], "2 clients stay: a", id="of-equals-the-first-by-name"),
        pytest.param(["x"] * 1_234, "1,234 clients stay: x", id="many"),
    ],
)
def test_the_message_says_how_many_stay_and_why(reasons, expected):
    result = PassResult()
    assert result.add(map(NotMoved, reasons)) == 0
    assert result.message() == expected
