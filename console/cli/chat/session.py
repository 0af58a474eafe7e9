"""ChatSession: what one side of a conversation does, and what its words mean: a message, or the
press of a button of the card that was shown last."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from console.cli.calls.conversations import ConversationCalls, FoundName, others_of
from console.cli.chat.labels import labels_of
from deployment_units.services.cards.answers import Answered, read_answer
from deployment_units.services.cards.card import Card
from deployment_units.services.cards.profile import check
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.errors import Refused, Unauthenticated, Unavailable

T = TypeVar("T")
PAGE = 100  # messages that are asked for together


@dataclass(frozen=True, slots=True)
class Sent:
    """A message was kept."""

    answer: pb.SendMessageResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """A button was pressed; state: waiting, done, superseded or refused, see the contract."""

    action: str
    title: str
    message: bytes
    press: bytes
    state: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """It means a button, and it cannot be told which or with what."""

    why: str


Acted: TypeAlias = Sent | Pressed | Unclear


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    message: bytes
    sender: str
    revision: int
    card: Card


class ChatSession:
    """Between an account and others, one or more. names: of these, as the account finds them; those
    with whom it has a conversation are known by their ids. open_calls: at the account's home, with
    a new ticket; asked again where a ticket is over or the account has moved. random: so many
    bytes. Two threads may use it: one takes what comes, one acts. Raises CommandFailed where nobody
    is found by a name."""

    def __init__(
        self,
        open_calls: Callable[[], ConversationCalls],
        account: str,
        names: Sequence[str],
        *,
        random: Callable[[int], bytes],
    ) -> None:
        self.account = account
        self.last = 0  # the position of the newest message that was taken
        self._open_calls = open_calls
        self._calls = open_calls()
        self._random = random
        self._shown: _Shown | None = None
        self._lock = threading.Lock()
        conversations = self._calls.conversations()
        known = {member for one in conversations for member in one.members}
        self.others = others_of(account, self._calls.found(names, known))
        self.labels = labels_of([self._named(one) for one in self.others])
        self._members = sorted({one.member for one in self.others})
        found = [one for one in conversations if sorted(one.members) == self._members]
        self._begun = bool(found)
        self.conversation = found[0].id if found else random(16)

    def _named(self, one: FoundName) -> FoundName:
        """With what it calls itself, also where it was not looked up."""
        if one.called or one.way:
            return one
        return one._replace(called=self._calls.called(one.member))

    def recent(self, count: int) -> list[tuple[pb.Message, Card | None]]:
        """The last of its messages, in order, as they are now, each with its card."""
        kept: deque[pb.Message] = deque()
        if self._begun and count:
            for one in self._calls.newest(self.conversation, 0, PAGE):
                self.last = max(self.last, one.position)
                if not one.superseded:
                    kept.appendleft(one)
                if len(kept) == count:
                    break
        return [(one, self.take(one)) for one in kept]

    def take(self, message: pb.Message) -> Card | None:
        """A message of the conversation is shown: its card, which is what is answered from now
        on."""
        self.last = max(self.last, message.position)
        if not message.content.card:
            return None
        card = check(message.content.card)
        if isinstance(card, list):
            return None
        if message.sender != self.account:
            with self._lock:
                self._shown = _Shown(
                    message=message.replaces or message.id,
                    sender=message.sender,
                    revision=max(message.revision, 1),
                    card=card,
                )
        return card

    def act(self, text: str) -> Acted:
        """Sends what was typed, or presses what it names. Raises HomeportError."""
        with self._lock:
            shown = self._shown
        answer = read_answer(shown.card, text) if shown is not None else None
        if shown is None or answer is None:
            return self._send(text)
        if not isinstance(answer, Answered):
            return Unclear(answer.message)
        request = pb.ClickRequest(
            message=shown.message,
            sender=shown.sender,
            action=answer.action.id,
            revision=shown.revision,
            press=self._random(16),
            inputs=answer.inputs,
        )
        clicked = self._at_home(lambda calls: calls.click(request))
        return Pressed(
            action=answer.action.id,
            title=answer.action.title,
            message=shown.message,
            press=clicked.press,
            state=pb.PressState.Name(clicked.state).removeprefix("PRESS_STATE_").lower(),
        )

    def _send(self, text: str) -> Sent:
        members = [] if self._begun else self._members
        message = self._random(16)
        sent = self._at_home(lambda calls: calls.send(self.conversation, message, members, text))
        self._begun = True
        return Sent(sent)

    def _at_home(self, call: Callable[[ConversationCalls], T]) -> T:
        """What the call answers; once more where the account is at home by now, with the same
        ids, so that it is done once."""
        try:
            return call(self._calls)
        except (Unauthenticated, Refused, Unavailable):
            self._calls = self._open_calls()
            return call(self._calls)
