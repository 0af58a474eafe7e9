"""Page sizes and tokens of listings: a token says how far the listing has come."""

from __future__ import annotations

from control_plane.errors import InvalidInput

DEFAULT_SIZE = 100
MOST_SIZE = 1_000
NEWEST = 1 << 62  # below which every row is


def size_of(page_size: int) -> int:
    """How many to give. Raises InvalidInput."""
    if not 0 <= page_size <= MOST_SIZE:
        raise InvalidInput("page_size", f"page_size is {page_size}; use 0 to {MOST_SIZE:,}")
    return page_size or DEFAULT_SIZE


def within(value: int, most: int, field: str) -> int:
    """A bound that somebody asks for. Raises InvalidInput."""
    if not 0 < value <= most:
        raise InvalidInput(field, f"{field} is {value}; use 1 to {most:,}, or 0 for the usual")
    return value


def row_of(page_token: str) -> int:
    """Below which row a page begins. Raises InvalidInput."""
    if not page_token:
        return NEWEST
    if not page_token.isdecimal() or len(page_token) > 18:
        raise InvalidInput("page_token", "page_token is none that was given here")
    return int(page_token)
