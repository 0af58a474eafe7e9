"""Clicking: presses of cards, judged and kept, each once.

A press is judged where the presser lives, and again where the account lives whose card it is: only
that one knows what others pressed. Where both live here, one transaction does both. What is kept is
handed on by whoever answers for applications (see PressDoors), woken when it is on disk; nothing is
lost where nobody is there to do it yet.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from control_plane.errors import Conflict, NotFound
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.cards.clicks import (
    Accept,
    AlreadyDone,
    NotPressable,
    NotYours,
    Superseded,
)
from deployment_units.services.conversations import kept, presses
from deployment_units.services.conversations.card_checks import Bringer, CardChecks
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.conversations.press import (
    ROOM_BYTES,
    WAITS,
    KeptPress,
    NewPress,
    PressState,
)
from deployment_units.services.conversations.press_judging import (
    Judged,
    NothingPressed,
    OtherCard,
    ReadCard,
    card_in,
    inputs_of,
    judge,
)

T = TypeVar("T")
_TRIES = 4  # where the card changes again and again while it is read


class PressDoors(Protocol):
    """Who hands presses on."""

    def answers_for(self, tenant: str, account: str) -> bool:
        """Whether an account that lives here is an application's. Raises Unavailable while that is
        not known."""
        ...

    def kept(self, tenant: str, account: str) -> None:
        """A press of the account's, or of its cards, is on disk and to be handed on."""
        ...


class NoApplications:
    """The PressDoors of a unit that answers for nobody's applications."""

    def answers_for(self, tenant: str, account: str) -> bool:
        return False

    def kept(self, tenant: str, account: str) -> None:
        """It stays on disk."""


class PressTaker(Protocol):
    """Who takes presses of messages in the name of their senders, where the presser lives: for what
    a unit itself has to say, such as that somebody is invited. Inside the transaction."""

    def takes(self, db: sqlite3.Connection, owner: int, message: bytes, author: str) -> bool:
        """Whether presses of this message of the owner's are its."""
        ...

    def pressed(self, db: sqlite3.Connection, owner: int, message: bytes, press: NewPress) -> None:
        """One that counts, and is kept in the same transaction."""
        ...


class Clicked(NamedTuple):
    """What became of a press. state: not KEPT; press: the id of the one that
    counts; shown: what the message shows now."""

    state: PressState
    press: bytes
    shown: KeptMessage


class Clicking:
    """Of one unit. wall_ms: Unix ms."""

    def __init__(
        self,
        accounts: Accounts,
        checks: CardChecks,
        doors: PressDoors,
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        self._accounts = accounts
        self._checks = checks
        self._doors = doors
        self._wall_ms = wall_ms
        self.taker: PressTaker | None = None  # None: nobody here

    async def click(self, resident: Resident, press: NewPress) -> Clicked:
        """A press by an account that lives here. Raises NotFound, NothingPressed, InvalidInput for
        what was filled in, and what Accounts.change raises."""

        def work(db: sqlite3.Connection, owner: int, card: ReadCard) -> tuple[Clicked, str]:
            return self._by_viewer(db, owner, resident, press, card)

        clicked, handed_to = await self._with_card(
            resident, resident.account, press.message, work, author=press.author or None
        )
        if handed_to:
            self._doors.kept(resident.tenant, handed_to)
        return clicked

    async def take(self, resident: Resident, viewer: str, press: NewPress) -> Clicked:
        """A press by an account that lives elsewhere, of a card of one that lives here, in a
        conversation that both are in. Raises as `click`; NothingPressed also where nobody answers
        for that account."""
        if not self._doors.answers_for(resident.tenant, resident.account):
            raise _nobody()

        def work(db: sqlite3.Connection, owner: int, card: ReadCard) -> Clicked:
            _check_shared(db, owner, resident.account, viewer, press.message)
            found = judge(db, owner, owner, viewer, press, card, author=resident.account)
            return self._kept(db, found, press, keepers={owner: PressState.KEPT}, viewer=viewer)

        clicked = await self._with_card(
            resident, viewer, press.message, work, author=resident.account
        )
        self._doors.kept(resident.tenant, resident.account)
        return clicked

    def _by_viewer(
        self,
        db: sqlite3.Connection,
        owner: int,
        resident: Resident,
        press: NewPress,
        card: ReadCard,
    ) -> tuple[Clicked, str]:
        """What becomes of it, and whose press is to be handed on from here; empty: nobody's."""
        viewer = resident.account
        by = press.author or None
        found = judge(db, owner, owner, viewer, press, card, author=by)
        author = found.shown.sender
        if author == viewer:
            raise NothingPressed("the card is this account's own; others press it")
        if self.taker is not None and self.taker.takes(db, owner, found.shown.root, author):
            if isinstance(found.verdict, Accept):
                self.taker.pressed(db, owner, found.shown.root, press)
            return self._kept(db, found, press, {owner: PressState.WAITING}, viewer), ""
        beside = self._accounts.beside(db, resident.tenant, author, room_bytes=ROOM_BYTES)
        if beside is None:  # it lives elsewhere, is on its way there, or has no room
            keepers = {owner: PressState.KEPT}
            return self._kept(db, found, press, keepers, viewer), viewer
        if not self._doors.answers_for(resident.tenant, author):
            raise _nobody()
        if isinstance(found.verdict, Accept):  # by what this account knows; there decides who asks
            found = judge(db, beside, owner, viewer, press, card, author=by)
        keepers = {owner: PressState.WAITING, beside: PressState.KEPT}
        return self._kept(db, found, press, keepers, viewer), author

    def _kept(
        self,
        db: sqlite3.Connection,
        found: Judged,
        press: NewPress,
        keepers: Mapping[int, PressState],
        viewer: str,
    ) -> Clicked:
        """Keeps an accepted press for each of these owners. The first one's copy answers. Raises
        NotFound, NothingPressed, InvalidInput."""
        match found.verdict:
            case Accept(number):
                kept_press = KeptPress(
                    message=found.shown.root,
                    author=found.shown.sender,
                    action=press.action,
                    viewer=viewer,
                    number=number,
                    id=press.id,
                    revision=found.shown.revision,
                    inputs=inputs_of(found.card, press),
                    state=PressState.KEPT,
                    pressed_ms=self._wall_ms(),
                )
                for owner, state in keepers.items():
                    presses.add(db, owner, replace(kept_press, state=state))
                return Clicked(PressState.WAITING, press.id, found.shown)
            case AlreadyDone(before):
                rows = (presses.find(db, one, viewer, before.id) for one in keepers)
                own = next((one for one in rows if one is not None), None)
                return Clicked(_again(own), before.id, found.shown)
            case Superseded():
                return Clicked(PressState.SUPERSEDED, press.id, found.shown)
            case NotPressable(message):
                raise NothingPressed(message)
            case NotYours():
                raise _no_message()

    async def _with_card(
        self,
        resident: Resident,
        presser: str,
        message: bytes,
        work: Callable[[sqlite3.Connection, int, ReadCard], T],
        *,
        author: str | None = None,
    ) -> T:
        """Does some work with the card that a message shows, read beforehand, off the event loop
        where it is not known already."""
        shown = self._accounts.read(
            resident, lambda db, owner: kept.shown(db, owner, message, bringer=author)
        )
        text = "" if shown is None else card_in(shown)
        whose = Bringer(resident.tenant, presser)
        for _ in range(_TRIES):
            card = ReadCard(text, await self._checks.card(whose, text))
            try:
                return await self._accounts.change(resident, partial(_given, work, card))
            except OtherCard as other:
                text = other.text
        raise Conflict("the card is being changed again and again; look at it, and press again")


def _given(
    work: Callable[[sqlite3.Connection, int, ReadCard], T],
    card: ReadCard,
    db: sqlite3.Connection,
    owner: int,
) -> T:
    return work(db, owner, card)


def _check_shared(
    db: sqlite3.Connection, owner: int, author: str, viewer: str, message: bytes
) -> None:
    """Whether a message is one that the author sent the viewer, by the author's copy. What anybody
    brought the author has a card, too, which says whatever they like. Raises NotFound."""
    shown = kept.shown(db, owner, message, bringer=author)
    if shown is None or shown.sender != author:
        raise _no_message()
    if viewer not in (kept.members_of(db, owner, shown.conversation) or ()):
        raise _no_message()


def _no_message() -> NotFound:
    return NotFound("the account has no such message")


def _again(own: KeptPress | None) -> PressState:
    """What is said of a press that was made before. own: as it is kept here; None: elsewhere."""
    if own is not None and own.state in WAITS:
        return PressState.WAITING
    refused = own is not None and own.state is PressState.REFUSED
    return PressState.REFUSED if refused else PressState.DONE


def _nobody() -> NothingPressed:
    return NothingPressed("nobody takes presses of this card: its sender is no application")
