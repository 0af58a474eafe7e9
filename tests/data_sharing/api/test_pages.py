"""Page sizes and tokens of listings."""

from __future__ import annotations

import pytest

from control_plane.errors import InvalidInput
from data_sharing.api.pages import DEFAULT_SIZE, MOST_SIZE, NEWEST, row_of, size_of


@pytest.mark.parametrize(
    ("given", "expected"), [(0, DEFAULT_SIZE), (1, 1), (MOST_SIZE, MOST_SIZE)], ids=str
)
def test_page_size(given: int, expected: int) -> None:
    assert size_of(given) == expected


@pytest.mark.parametrize("given", [-1, MOST_SIZE + 1], ids=str)
def test_a_page_size_out_of_bounds_is_refused(given: int) -> None:
    with pytest.raises(InvalidInput, match="page_size"):
        size_of(given)


def test_a_token_is_the_row_below_which_a_page_begins() -> None:
    assert row_of("") == NEWEST
    assert row_of("17") == 17


@pytest.mark.parametrize("token", ["x", "-1", "1.5", "²", "9" * 19], ids=str)
def test_a_token_that_was_not_given_here_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput, match="page_token"):
        row_of(token)
