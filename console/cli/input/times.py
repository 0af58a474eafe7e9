"""Times as options give them: instants of RFC 3339."""

from __future__ import annotations

import typer

from data_sharing.feeds.attributes import parse_time

LEAST_MS, MOST_MS = -62_135_596_800_000, 253_402_300_799_999  # years 1 to 9999, as messages have


def time_ms(text: str, option: str) -> int:
    """Unix ms of a time with its offset, such as 2026-11-25T07:30:00Z. Raises
    typer.BadParameter."""
    try:
        at_ms = parse_time(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    if not LEAST_MS <= at_ms <= MOST_MS:
        raise typer.BadParameter(f"{text} is not within the years 1 to 9999", param_hint=option)
    return at_ms
