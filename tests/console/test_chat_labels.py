"""What members of a conversation are called in a terminal: by name where that is clear."""

from __future__ import annotations

import pytest

from console.cli.calls.conversations import FoundName
from console.cli.chat.labels import labels_of

BEN, CARLA = FoundName("ben-1", "@ben", "Ben"), FoundName("mailto:carla%25x@mail.example", "carla")


@pytest.mark.parametrize(
    ("others", "labels"),
    [
        pytest.param([BEN, CARLA], ["Ben", "carla%x@mail.example"], id="by name, by address"),
        pytest.param([FoundName("ben", "ben")], ["ben"], id="without a name, by id"),
        pytest.param([FoundName("ben-1", "@ben")], ["@ben"], id="or by handle"),
        pytest.param([FoundName("ben", "ben", "Ben")], ["Ben"], id="a name like its own id"),
        pytest.param([FoundName("m", "@m", "You")], ["You (@m)"], id="nobody is you"),
        pytest.param([BEN, FoundName("m", "@m", "Вen")], ["Ben (@ben)", "Вen (@m)"],
                     id="names that look alike"),
        pytest.param([FoundName("ben-1", "@ben"), FoundName("m", "@m", "@ben")],
                     ["@ben", "@ben (@m)"], id="another's handle as a name"),
        pytest.param([FoundName("m", "@m", "Ben\u202e\nX")], ["Ben\ufffd\u240aX"],
                     id="nothing moves a cursor"),
    ],
)  # fmt: skip
def test_a_label_is_no_other_members(others: list[FoundName], labels: list[str]) -> None:
    assert list(labels_of(others).values()) == labels
