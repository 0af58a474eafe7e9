"""CardChecks: cards that come in, checked in a thread.

A card of 16 KiB takes some tens of milliseconds to check, and whoever sends it decides that; so it
is not done on the event loop, and one at a time, so that no more than one thread is at it. Tenants
take turns, and of each tenant its accounts: who sends a thousand makes another wait for one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from control_plane.errors import InvalidInput
from control_plane.thread_turns import ThreadTurns
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.cards.card import MAX_BYTES, Card, CardFlaw
from deployment_units.services.cards.card_text import card_text
from deployment_units.services.cards.profile import check

T = TypeVar("T")
NO_CARD = Card(document={}, actions=(), inputs={})
MOST_KNOWN = 64  # cards, of 16 KiB at most
MAX_TOLD = 5  # flaws of a card, in one message


class Bringer(NamedTuple):
    """Whose work it is: an account, or who wants something of one that lives here."""

    tenant: str
    account: str


class CardChecks:
    """Of one unit; use from its event loop. whose: who waits, and makes others wait."""

    def __init__(self) -> None:
        self._turns = ThreadTurns()
        self._known: dict[str, Card] = {}  # the oldest first

    async def checked(self, whose: Bringer | Resident, text: str, field: str) -> str:
        """A card as its check leaves it, as JSON; empty: there is none. Raises InvalidInput."""
        return await self.run(whose, lambda: checked_card(text, field)) if text else ""

    async def card(self, whose: Bringer | Resident, text: str) -> Card:
        """A card that is kept, as it was checked; of none, one without anything in it."""
        if not text:
            return NO_CARD
        found = self._known.get(text)
        if found is None:
            found = await self.run(whose, lambda: kept_card(text))
            while len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[text] = found
        return found

    async def run(self, whose: Bringer | Resident, work: Callable[[], T]) -> T:
        """What some work on cards makes, and raises."""
        return await self._turns.in_turn(whose.tenant, whose.account, work)


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
