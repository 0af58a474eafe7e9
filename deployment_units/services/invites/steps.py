"""InviteSteps: does what is to be done next about one invitation of an account.

Each step asks the directory or another unit for something that may be asked again, and keeps what
came of it; a unit that dies between the two asks again. What is refused for good is kept as such,
and raised; what cannot be done now is due again later.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from control_plane import faultpoints
from control_plane.backoff import Backoff
from control_plane.errors import (
    Conflict,
    DataLoss,
    Exhausted,
    NotFound,
    PermissionDenied,
    ServiceError,
    Unavailable,
)
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import resident_of
from deployment_units.services.channels.port import OutgoingChannel, OutgoingMessage, SendOutcome
from deployment_units.services.directory.port import (
    ACCEPT_INVITATION,
    CREATE_INVITATION,
    DECLINE_INVITATION,
    FIND_INVITED,
    WITHDRAW_INVITATION,
    UnitDirectory,
)
from deployment_units.services.gateway.mail_headers import name_of_account
from deployment_units.services.invites import kept
from deployment_units.services.invites.groups import Groups
from deployment_units.services.invites.invite import (
    LOOK_AGAIN_MS,
    SENT,
    InviteRow,
    InviteState,
    Step,
    next_step,
)
from deployment_units.services.invites.letters import DONE, Letters
from deployment_units.services.invites.peers import InvitePeers
from deployment_units.services.invites.saying import InviteMessages
from deployment_units.services.state.owners import Owner
from homeport.api.directory.v1 import directory_pb2
from homeport.api.directory.v1 import invitation_pb2 as directory

T = TypeVar("T")
PAUSES = Backoff(first_s=2.0, most_s=3_600.0, jittered=0.5)
LATER = frozenset({"STALE_EPOCH", "ACCOUNT_FULL"})
NOT_OPEN = "NOT_OPEN"
MOST_WORDS = 500
_REACHED = (directory.ROUTE_OUTCOME_ACCOUNT, directory.ROUTE_OUTCOME_CHOOSE)


def is_for_later(error: ServiceError) -> bool:
    """Whether the same may be asked again in a while, and be done then."""
    return isinstance(error, Unavailable | Exhausted | Conflict | DataLoss) or error.reason in LATER


class InviteSteps:
    """Of one unit. wall_ms: Unix ms; jitter: 0 to 1, new at each call. counts: steps that were
    done, put off, and refused."""

    def __init__(
        self,
        accounts: Accounts,
        asked: UnitDirectory,
        peers: InvitePeers,
        messages: InviteMessages,
        letters: Letters,
        groups: Groups,
        *,
        wall_ms: Callable[[], int],
        jitter: Callable[[], float],
    ) -> None:
        self._accounts = accounts
        self._asked = asked
        self._peers = peers
        self._messages = messages
        self._letters = letters
        self._groups = groups
        self._wall_ms = wall_ms
        self._jitter = jitter
        self.counts = {"done": 0, "put off": 0, "refused": 0}
        self._steps: dict[Step, Callable[[Owner, InviteRow], Awaitable[None]]] = {
            Step.CREATE: self._create,
            Step.BRING: self._bring,
            Step.WITHDRAW: self._withdraw,
            Step.ACCEPT: self._accept,
            Step.DECLINE: self._decline,
            Step.ANSWER: self._answer,
        }

    async def do(self, owner: Owner, row: InviteRow) -> None:
        """The next step of a row that is due. Raises what is refused for good, which is kept
        then; StoreUnavailable, AccountLeaving where nothing could be kept."""
        step = next_step(row, self._wall_ms())
        if step is Step.NOTHING:
            await self._becomes(owner, row, due_ms=None)
            return
        try:
            await self._steps[step](owner, row)
        except ServiceError as error:
            if not is_for_later(error):
                self.counts["refused"] += 1
                await self._refused(owner, row, error)
                raise
            self.counts["put off"] += 1
            pause_s = max(error.retry_after_s or 0.0, PAUSES.pause_s(row.tries, self._jitter()))
            due_ms = self._wall_ms() + int(pause_s * 1_000)
            await self._becomes(owner, row, due_ms=due_ms, tries=row.tries + 1)
            return
        self.counts["done"] += 1

    async def _create(self, owner: Owner, row: InviteRow) -> None:
        left_ms = row.expires_ms - self._wall_ms()
        request = directory.CreateInvitationRequest(
            organisation=row.organisation,
            group=row.group_id,
            identifier=directory_pb2.Identifier(uri=row.uri),
            invitation=row.id,
        )
        request.ttl.FromMilliseconds(max(60_000, left_ms))
        made = await self._asked.call(CREATE_INVITATION, resident_of(owner), request)
        faultpoints.passing("invite.asked.after")
        await self._becomes(
            owner, row, state=InviteState.OPEN, due_ms=self._wall_ms(), tries=0,
            expires_ms=made.invitation.expire_time.ToMilliseconds(),
        )  # fmt: skip

    async def _withdraw(self, owner: Owner, row: InviteRow) -> None:
        request = directory.WithdrawInvitationRequest(invitation=row.id)
        await self._asked.call(WITHDRAW_INVITATION, resident_of(owner), request)
        faultpoints.passing("invite.asked.after")
        await self._becomes(
            owner, row, state=InviteState.WITHDRAWN, due_ms=self._wall_ms(), tries=0
        )

    async def _bring(self, owner: Owner, row: InviteRow) -> None:
        """To all accounts to which it goes; to a letter where there is none, once. To whom it goes
        later it is brought then."""
        resident = resident_of(owner)
        request = directory.FindInvitedRequest(
            invitation=row.id, identifier=directory_pb2.Identifier(uri=row.uri)
        )
        found = await self._asked.call(FIND_INVITED, resident, request)
        late: ServiceError | None = None
        for account in found.accounts:
            try:
                await self._peers.deliver(resident, account, row.id, row.uri)
            except ServiceError as error:  # who cannot be reached holds nobody else up
                late = error if is_for_later(error) else late
            faultpoints.passing("invite.brought.after")
        if late is not None:
            raise late
        withdrawn = row.state == InviteState.WITHDRAWN
        if found.outcome == directory.ROUTE_OUTCOME_NEW_ACCOUNT and not withdrawn:
            row = await self._write(owner, row)
        waits = found.outcome not in _REACHED and not withdrawn
        due_ms = self._wall_ms() + LOOK_AGAIN_MS if waits else None
        await self._becomes(owner, row, due_ms=due_ms, tries=0)

    async def _write(self, owner: Owner, row: InviteRow) -> InviteRow:
        """A letter, unless there was one. Raises Unavailable where it did not go."""
        channel = self._letters.channel_of(row)
        if channel is None or row.letter == 2:
            return row
        if row.letter == 1 and not channel.knows_duplicates:  # nobody knows whether it went
            return await self._becomes(owner, row, letter=2)

        def begin(db: sqlite3.Connection) -> tuple[InviteRow, OutgoingMessage]:
            begun = msgspec.structs.replace(row, letter=1)
            kept.put(db, owner.number, begun)
            name = name_of_account(db, owner)
            return begun, self._letters.compose(db, owner.number, owner.account, name, row)

        row, message = await self._accounts.settle(owner, begin)
        faultpoints.passing("invite.letter.before")
        outcome = await self._sent(channel, message)
        faultpoints.passing("invite.letter.after")
        if outcome is SendOutcome.NOT_NOW:
            row = await self._becomes(owner, row, letter=0)
        elif outcome in DONE or not channel.knows_duplicates:
            return await self._becomes(owner, row, letter=2)
        raise Unavailable("the letter did not go; it is tried again")

    async def _sent(self, channel: OutgoingChannel, message: OutgoingMessage) -> SendOutcome:
        return (await self._letters.send(channel, message)).outcome

    async def _accept(self, owner: Owner, row: InviteRow) -> None:
        request = directory.AcceptInvitationRequest(
            invitation=row.id, identifier=directory_pb2.Identifier(uri=row.uri)
        )
        await self._asked.call(ACCEPT_INVITATION, resident_of(owner), request)
        faultpoints.passing("invite.asked.after")
        await self._says(owner, row, InviteState.ACCEPTED, "")

    async def _decline(self, owner: Owner, row: InviteRow) -> None:
        request = directory.DeclineInvitationRequest(
            invitation=row.id, identifier=directory_pb2.Identifier(uri=row.uri)
        )
        await self._asked.call(DECLINE_INVITATION, resident_of(owner), request)
        faultpoints.passing("invite.asked.after")
        await self._says(owner, row, InviteState.DECLINED, "")

    async def _answer(self, owner: Owner, row: InviteRow) -> None:
        """Who has accepted joins the conversation of the group; who invited is told either way."""
        words = ""
        if row.state == InviteState.ACCEPTED:
            try:
                await self._groups.join(owner, row)
            except ServiceError as error:
                if is_for_later(error):
                    raise
                words = error.message[:MOST_WORDS]  # it is in the group all the same
            faultpoints.passing("invite.joined.after")
        if row.other:
            try:
                await self._peers.deliver(resident_of(owner), row.other, row.id, "")
            except ServiceError as error:
                if is_for_later(error):
                    raise  # who is not there any more is told nothing
        await self._becomes(owner, row, due_ms=None, tries=0, words=words)

    async def _refused(self, owner: Owner, row: InviteRow, error: ServiceError) -> None:
        """What becomes of what is refused."""
        words = error.message[:MOST_WORDS]
        if row.side == SENT:
            if row.state == InviteState.WITHDRAWING and not isinstance(error, NotFound):
                await self._becomes(owner, row, state=InviteState.OPEN, due_ms=None, words=words)
                return
            await self._becomes(owner, row, state=InviteState.REFUSED, due_ms=None, words=words)
            return
        if row.state in (InviteState.ACCEPTED, InviteState.DECLINED):
            await self._becomes(owner, row, due_ms=None, words=words)
            return
        over = isinstance(error, NotFound | PermissionDenied) or error.reason == NOT_OPEN
        state = InviteState.WITHDRAWN if over else InviteState.OPEN
        await self._says(owner, row, state, "" if over else words)

    async def _says(self, owner: Owner, row: InviteRow, state: InviteState, words: str) -> None:
        """What has come of what who was invited asked for, and the next revision of its message."""
        answered = state in (InviteState.ACCEPTED, InviteState.DECLINED)
        due_ms = self._wall_ms() if answered else None
        resident = resident_of(owner)
        after = msgspec.structs.replace(row, state=state.value, words=words, due_ms=due_ms, tries=0)
        content = await self._messages.content(resident, after)

        def keep(db: sqlite3.Connection) -> None:
            there = kept.find(db, owner.number, row.side, row.id)
            if there is None or there.state != row.state:  # somebody was faster
                return
            said = after
            if said.message:
                said = self._messages.say(db, owner.number, resident, said, content)
            kept.put(db, owner.number, said)

        await self._accounts.settle(owner, keep)

    async def _becomes(self, owner: Owner, row: InviteRow, **changed: object) -> InviteRow:
        """The row, changed so, unless it is in another state by now."""

        def keep(db: sqlite3.Connection) -> InviteRow:
            there = kept.find(db, owner.number, row.side, row.id)
            if there is None or there.state != row.state:
                return there or row
            after = msgspec.structs.replace(there, **changed)
            kept.put(db, owner.number, after)
            return after

        return await self._accounts.settle(owner, keep)
