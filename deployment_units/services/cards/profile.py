"""The profile of cards: which documents of Adaptive Cards 1.5 are shown here, and what is wrong
with the others, each flaw with a pointer to it.

Nothing of HTML, no media, no parts that some hosts alone know, addresses of https alone, ids
used once. What is not shown gives way to its fallback, or to that of what it is in, as Adaptive
Cards lays down; only what has none is a flaw. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from control_plane.printable import quoted
from deployment_units.services.cards.addresses import WebAddress, read_web_address
from deployment_units.services.cards.card import (
    MAX_FLAWS,
    Card,
    CardFlaw,
    CardFlawReason,
)
from deployment_units.services.cards.card_text import read_value
from deployment_units.services.cards.part_forms import part_forms
from deployment_units.services.cards.parts import (
    CARD,
    CONTENTS,
    MEDIA,
    OPEN_URL,
    SUBMITS,
    Holds,
    Places,
)
from deployment_units.services.cards.pointers import below
from deployment_units.services.cards.pressable import Pressables, Scope

VERSION = (1, 5)
_NEWEST_READ = (1, 6)  # whose cards are shown where they use nothing newer than 1.5
_FEATURES = {"adaptiveCards": VERSION}  # what `requires` may name
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})\Z")
# Never shown here, and not sent on: markup for speech, pictures behind text and on buttons.
_LEFT_OUT = frozenset({"fallback", "requires", "speak", "backgroundImage", "iconUrl", "$schema"})


def check(given: bytes | str | Mapping[str, Any]) -> Card | list[CardFlaw]:
    """The card of a JSON text or of a value that was read already, or its flaws: one at least,
    50 at most, in the order of the document."""
    value = read_value(given)
    if isinstance(value, CardFlaw):
        return [value]
    if not isinstance(value, Mapping) or value.get("type") != CARD:
        return [
            CardFlaw(
                pointer="/type" if isinstance(value, Mapping) and "type" in value else "",
                reason=CardFlawReason.NOT_A_CARD,
                message=f'this is no card: it does not say "type": "{CARD}"',
            )
        ]
    value = _for_old_readers(value)
    if isinstance(value, CardFlaw):
        return [value]
    reading = _Reading()
    document = reading.part("", value, Places.CARD, Scope(), rescued=False)
    if reading.flaws or not isinstance(document, dict):
        return reading.flaws[:MAX_FLAWS]
    return reading.pressables.card(document)


class _GivesWay(Exception):
    """What is in a part is not shown and has no fallback, but the part has one."""


class _Reading:
    """One pass over a document."""

    def __init__(self) -> None:
        self.flaws: list[CardFlaw] = []
        self.pressables = Pressables()

    def part(
        self, pointer: str, part: Any, place: Places, scope: Scope, *, rescued: bool
    ) -> dict[str, Any] | str | None:
        """What is shown of a part; None: nothing. rescued: something that it is in has a
        fallback. Raises _GivesWay where that is to be shown."""
        if place is Places.INLINE and isinstance(part, str):
            return part
        if not isinstance(part, Mapping):
            self._flaw(pointer, CardFlawReason.FORM, f"{quoted(part)} is no {_what(place)}")
            return None
        type_ = part.get("type", place.value.implied)
        hidden = _why_not_shown(pointer, part, type_, place)
        fallback = part.get("fallback")
        if hidden is None:
            mark, taken = len(self.flaws), self.pressables.mark()
            try:
                return self._shown(
                    pointer, part, type_, scope, rescued=rescued or fallback is not None
                )
            except _GivesWay:
                if fallback is None:
                    raise
                del self.flaws[mark:]
                self.pressables.forget(taken)
        if isinstance(fallback, str) and fallback.casefold() == "drop":
            return None
        if fallback is not None:
            return self.part(below(pointer, "fallback"), fallback, place, scope, rescued=rescued)
        if rescued:
            raise _GivesWay
        if isinstance(hidden, CardFlaw):
            self.flaws.append(hidden)
        return None

    def _shown(
        self, pointer: str, part: Mapping[str, Any], type_: str, scope: Scope, *, rescued: bool
    ) -> dict[str, Any]:
        form = part_forms()[type_]
        normal = form.normal(part)
        flaws = list(form.flaws(pointer, normal))
        self.flaws += flaws
        found = {name: one for name, one in normal.items() if name not in _LEFT_OUT}
        found["type"] = type_
        broken = {one.pointer for one in flaws}
        if type_ == OPEN_URL and isinstance(found.get("url"), str):
            self._read_address(pointer, found)
        if type_ == CARD and pointer:
            scope = Scope(scope)
        for name, holds in CONTENTS.get(type_, {}).items():
            if name in found and below(pointer, name) not in broken:
                found[name] = self._content(
                    below(pointer, name), found[name], holds, scope, rescued
                )
                if found[name] is None:
                    del found[name]
        if flaws:
            return found
        if type_ in SUBMITS:
            self.flaws += self.pressables.add_action(pointer, found, scope)
        elif type_.startswith("Input."):
            self.flaws += self.pressables.add_input(pointer, found, scope)
        return found

    def _content(
        self, pointer: str, content: Any, holds: Holds, scope: Scope, rescued: bool
    ) -> Any:
        if not holds.several:
            return self.part(pointer, content, holds.place, scope, rescued=rescued)
        found: list[Any] = []
        for number, one in enumerate(content):
            shown = self.part(below(pointer, number), one, holds.place, scope, rescued=rescued)
            if shown is not None:
                found.append(shown)
        if holds.place is Places.ACTION:  # those of the second kind stand behind the others
            found.sort(key=lambda one: one.get("mode") == "secondary")
        return found

    def _read_address(self, pointer: str, found: dict[str, Any]) -> None:
        address = read_web_address(found["url"])
        if isinstance(address, WebAddress):
            found["url"] = address.url
        else:
            self._flaw(below(pointer, "url"), CardFlawReason.ADDRESS, address)

    def _flaw(self, pointer: str, reason: CardFlawReason, message: str) -> None:
        self.flaws.append(CardFlaw(pointer=pointer, reason=reason, message=message))


def _why_not_shown(
    pointer: str, part: Mapping[str, Any], type_: Any, place: Places
) -> CardFlaw | bool | None:
    """Why a part gives way to its fallback; None: it does not. A flaw, where that is one if
    there is no fallback; True, where the part is left out."""
    if type_ == MEDIA and MEDIA in place.value.types:
        return CardFlaw(
            pointer=pointer,
            reason=CardFlawReason.MEDIA,
            message="sound and pictures that move are not shown; give it a fallback, such as a "
            "TextBlock, or an Action.OpenUrl that leads there",
        )
    if type_ not in place.value.types:
        said = "says no type" if type_ in ("", None) else f"is {quoted(type_)}"
        known = ", ".join(place.value.types)
        return CardFlaw(
            pointer=below(pointer, "type") if "type" in part else pointer,
            reason=CardFlawReason.TYPE,
            message=f"the {_what(place)} {said}; one is of {known}, or has a fallback",
        )
    requires = part.get("requires")
    return True if isinstance(requires, Mapping) and not _met(requires) else None


def _met(requires: Mapping[str, Any]) -> bool:
    for feature, asked in requires.items():
        have = _FEATURES.get(feature)
        if have is None:
            return False
        if asked == "*":
            continue
        version = _version(asked)
        if version is None or version > have:
            return False
    return True


def _for_old_readers(card: Mapping[str, Any]) -> Mapping[str, Any] | CardFlaw:
    """The card itself; of one that is too new, what it says in its place."""
    said = card.get("version", "1.5")
    version = _version(said)
    if version is not None and version <= _NEWEST_READ:
        return card
    instead = card.get("fallbackText")
    if version is not None and isinstance(instead, str) and instead:
        text = {"type": "TextBlock", "text": instead, "wrap": True}
        return {"type": CARD, "version": "1.5", "body": [text]}
    return CardFlaw(
        pointer="/version",
        reason=CardFlawReason.VERSION,
        message=f"the version is {quoted(said)}; cards are of 1.0 to 1.5, and newer ones need a "
        "`fallbackText`",
    )


def _version(text: Any) -> tuple[int, int] | None:
    found = _VERSION.match(text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None


def _what(place: Places) -> str:
    return place.value.what
