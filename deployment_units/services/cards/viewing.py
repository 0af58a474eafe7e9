"""Whom a card is rendered for: what differs between one viewer and another. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo


def no_images(address: str) -> str | None:
    """No image is shown: its words stand for it."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who sees a card."""

    account: str = ""  # whom its tokens are for; empty: nobody who presses
    pages: str = ""  # address before a token: where an action is confirmed, such as https://…/a/
    zone: tzinfo = UTC  # for dates and times
    # The address of our own under which an image is had, or None where it is not shown.
    image_address: Callable[[str], str | None] = no_images
