"""InviteLooks: asks the directory what an invitation is, and keeps what it says.

Units tell each other only that there is something to look at. So nobody is shown an invitation that
was not made, or why it reaches them by somebody else's word, and nobody's answer is believed that
the directory does not have.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

from control_plane.errors import NotFound, PermissionDenied
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory.port import GET_INVITATION, UnitDirectory
from deployment_units.services.invites import kept
from deployment_units.services.invites.invite import RECEIVED, SENT, InviteRow, InviteState
from deployment_units.services.invites.saying import InviteMessages
from deployment_units.services.invites.wording import whys_of
from homeport.api.directory.v1 import directory_pb2
from homeport.api.directory.v1 import invitation_pb2 as directory

STATES = {
    directory.INVITATION_STATE_OPEN: InviteState.OPEN,
    directory.INVITATION_STATE_ACCEPTED: InviteState.ACCEPTED,
    directory.INVITATION_STATE_DECLINED: InviteState.DECLINED,
    directory.INVITATION_STATE_WITHDRAWN: InviteState.WITHDRAWN,
}


class InviteLooks:
    """Of one unit. wall_ms: Unix ms."""

    def __init__(
        self,
        accounts: Accounts,
        asked: UnitDirectory,
        messages: InviteMessages,
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        self._accounts = accounts
        self._asked = asked
        self._messages = messages
        self._wall_ms = wall_ms

    async def at_own(self, resident: Resident, invitation: str, viewer: str) -> None:
        """At one that the account made, since the viewer says that it has answered. Raises
        PermissionDenied where it has not; what else the directory says."""
        if self._accounts.read(resident, lambda db, n: kept.find(db, n, SENT, invitation)) is None:
            raise PermissionDenied("the account made no such invitation")
        found = (await self._get(resident, invitation, "")).invitation
        state = STATES.get(found.state, InviteState.OPEN)
        if found.account != viewer or state is InviteState.OPEN:
            raise PermissionDenied("the directory has no answer of this account's")

        def keep(db: sqlite3.Connection, owner: int) -> None:
            row = kept.find(db, owner, SENT, invitation)
            if row is not None:
                kept.put(db, owner, msgspec.structs.replace(
                    row, state=state.value, other=found.account, due_ms=None, words=""
                ))  # fmt: skip

        await self._accounts.change(resident, keep)

    async def at_brought(
        self, resident: Resident, invitation: str, identifier: str, viewer: str
    ) -> None:
        """At one that the viewer, who made it, says is there for the account. Raises
        PermissionDenied where it is not; what else the directory says, and TooManyInvites."""
        try:
            found = await self._get(resident, invitation, identifier)
        except NotFound as error:
            raise PermissionDenied("no such invitation goes to this account") from error
        if found.invitation.inviter != viewer:
            raise PermissionDenied("the viewer did not make this invitation")
        before = self._accounts.read(
            resident, lambda db, owner: kept.find(db, owner, RECEIVED, invitation)
        )
        if before is None and (
            resident.account not in found.route.accounts
            or found.invitation.state != directory.INVITATION_STATE_OPEN
        ):
            raise PermissionDenied("the invitation does not go to this account")
        await self._keep(resident, self._row(resident, found, identifier), brought=True)

    async def at_known(self, resident: Resident, invitation: str, identifier: str) -> None:
        """At one that the account knows of, such as by a letter. Raises NotFound; what else the
        directory says, and TooManyInvites."""
        found = await self._get(resident, invitation, identifier)
        await self._keep(resident, self._row(resident, found, identifier), brought=False)

    async def _get(
        self, resident: Resident, invitation: str, identifier: str
    ) -> directory.GetInvitationResponse:
        request = directory.GetInvitationRequest(
            invitation=invitation,
            identifier=directory_pb2.Identifier(uri=identifier) if identifier else None,
        )
        found: directory.GetInvitationResponse = await self._asked.call(
            GET_INVITATION, resident, request
        )
        return found

    def _row(
        self, resident: Resident, found: directory.GetInvitationResponse, identifier: str
    ) -> InviteRow:
        one = found.invitation
        state = STATES.get(one.state, InviteState.OPEN)
        if state is not InviteState.OPEN and one.account != resident.account:
            state = InviteState.WITHDRAWN  # for this account it has ended
        return InviteRow(
            side=RECEIVED, id=one.invitation, uri=identifier, organisation=one.organisation,
            group_id=one.group, other=one.inviter,
            state=state.value, due_ms=None, tries=0,
            why=whys_of((why.rule, why.clause, why.value) for why in found.route.why),
            words="", made_ms=self._wall_ms(), expires_ms=one.expire_time.ToMilliseconds(),
            message=b"", said=0, press=b"", letter=0,
        )  # fmt: skip

    async def _keep(self, resident: Resident, fresh: InviteRow, *, brought: bool) -> None:
        """What the account is shown of it changes only by what is new in it."""
        content = await self._messages.content(resident, fresh)

        def keep(db: sqlite3.Connection, owner: int) -> None:
            there = kept.find(db, owner, RECEIVED, fresh.id)
            if there is None:
                row = kept.add(db, owner, fresh, now_ms=self._wall_ms())
                if brought:
                    kept.put(db, owner, self._messages.say(db, owner, resident, row, content))
                return
            # What the account asked for, and what came of it, is more than what others can know.
            ended = fresh.state in (InviteState.WITHDRAWN, InviteState.DECLINED)
            if there.state != InviteState.OPEN or not ended:
                return
            row = msgspec.structs.replace(there, state=fresh.state, due_ms=None)
            if row.message:
                row = self._messages.say(db, owner, resident, row, content)
            kept.put(db, owner, row)

        await self._accounts.change(resident, keep)
