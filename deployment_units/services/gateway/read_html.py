"""ReadHtml: the texts of messages that are HTML alone, which are read apart from the event loop:
that takes a tenth of a second for a large one, and whoever writes it decides so.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from deployment_units.services.conversations.card_checks import Bringer, CardChecks
from deployment_units.services.gateway.convert.html_text import HtmlText, html_to_text

MOST_CHARACTERS = 4 << 20  # of HTML and texts that are remembered


class ReadHtml:
    """Of the messages that were sent last; use from one event loop. most_characters: of them
    together, but for the last one; read: see html_to_text."""

    def __init__(
        self,
        *,
        most_characters: int = MOST_CHARACTERS,
        read: Callable[[str], HtmlText] = html_to_text,
    ) -> None:
        self._most_characters = most_characters
        self._read = read
        self._characters = 0
        self._known: OrderedDict[str, HtmlText] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    async def prepare(self, html: str, checks: CardChecks, whose: Bringer) -> None:
        """Reads it in its turn, where it is not known."""
        if html not in self._known:
            found = await checks.run(whose, lambda: self._read(html))
            if self._known.setdefault(html, found) is found:
                self._characters += len(html) + len(found.text)
        self._known.move_to_end(html)
        while len(self._known) > 1 and self._characters > self._most_characters:
            oldest, text = self._known.popitem(last=False)
            self._characters -= len(oldest) + len(text.text)

    def of(self, html: str) -> HtmlText:
        """What it says. Blocks where it was not prepared."""
        return self._known.get(html) or self._read(html)
