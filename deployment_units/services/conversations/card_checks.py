"""CardChecks: cards that come in, checked in a thread.

A card of 16 KiB takes some tens of milliseconds to check, and whoever sends it decides that; so it
is not done on the event loop, and one at a time, so that no more than one thread is at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from control_plane.errors import InvalidInput
from deployment_units.services.cards.card import MAX_BYTES, Card, CardFlaw
from deployment_units.services.cards.card_text import card_text
from deployment_units.services.cards.profile import check

T = TypeVar("T")
NO_CARD = Card(document={}, actions=(), inputs={})
MOST_KNOWN = 64  # cards, of 16 KiB at most
MAX_TOLD = 5  # flaws of a card, in one message


class CardChecks:
    """Of one unit; use from its event loop."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()
        self._known: dict[str, Card] = {}  # the oldest first

    async def checked(self, text: str, field: str) -> str:
        """A card as its check leaves it, as JSON; empty: there is none. Raises InvalidInput."""
        return await self.run(lambda: checked_card(text, field)) if text else ""

    async def card(self, text: str) -> Card:
        """A card that is kept, as it was checked; of none, one without anything in it."""
        if not text:
            return NO_CARD
        found = self._known.get(text)
        if found is None:
            found = await self.run(lambda: kept_card(text))
            while len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[text] = found
        return found

    async def run(self, work: Callable[[], T]) -> T:
        """What some work on cards makes, and raises."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(work)


def checked_card(text: str, field: str) -> str:
    """See CardChecks.checked. Blocks."""
    card = check(text)
    if isinstance(card, list):
        raise InvalidInput(field, f"the card is refused: {told(card)}")
    kept = card_text(card)
    if len(kept.encode()) > MAX_BYTES:
        raise InvalidInput(
            field, f"the card has more than {MAX_BYTES:,} bytes once all its buttons have ids"
        )
    return kept


def kept_card(text: str) -> Card:
    """A card that was checked before it was kept. Blocks."""
    card = check(text)
    return NO_CARD if isinstance(card, list) else card


def told(flaws: Sequence[CardFlaw]) -> str:
    """The first flaws of a card, in one line."""
    more = len(flaws) - MAX_TOLD
    return "; ".join(map(str, flaws[:MAX_TOLD])) + (f"; and {more} more" if more > 0 else "")
