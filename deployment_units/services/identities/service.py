"""IdentityService: the gRPC servicer of choosing identities in one unit."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, Protocol

from grpc import aio

from control_plane.errors import Exhausted
from control_plane.quotas.token_buckets import Rate, TokenBuckets
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.identities import kept
from deployment_units.services.identities.choosing import suggest
from deployment_units.services.identities.identity import (
    Chosen,
    Contactee,
    History,
    IdentityWarning,
    Original,
    OwnIdentity,
    ReplyMode,
    Suggestion,
)
from deployment_units.services.identities.messages import (
    reply_to_proto,
    suggestion_to_proto,
    warnings_to_proto,
)
from deployment_units.services.identities.organisations import organisation_of
from deployment_units.services.identities.proved_domains import ProvedDomains
from deployment_units.services.identities.replying import plan_reply
from deployment_units.services.identities.requests import (
    checked_of,
    chosen_of,
    contactees_of,
    conversation_of,
    message_of,
    mode_of,
    own_choice_of,
    with_known,
)
from homeport.api.communication.v1 import identity_pb2 as pb
from homeport.api.communication.v1 import identity_pb2_grpc as pb_grpc

NAME = "homeport.api.communication.v1.IdentityService"
ASKED = Rate(per_s=20.0, burst=400.0)  # suggestions for an account
FOR_ONE = 16  # identifiers that cost as much as a suggestion does
MOST_ACCOUNTS = 50_000  # that are remembered
_Context = aio.ServicerContext[Any, Any]


class TooMuchAsked(Exhausted):
    """The account has asked for more suggestions than it may."""

    reason = "TOO_MUCH_ASKED"


class OriginalMessage(NamedTuple):
    """A message of an account upon which something is written. members: of its conversation,
    without the account; member_of: whose an identifier in it is, by identifier."""

    conversation: bytes
    original: Original
    members: tuple[str, ...]
    member_of: dict[str, str]


class OriginalFinder(Protocol):
    """Finds messages for whoever writes upon one; conversations have it."""

    def __call__(
        self, db: sqlite3.Connection, owner: int, account: str, message: bytes, /
    ) -> OriginalMessage:
        """Raises NotFound."""
        ...


class IdentityService(pb_grpc.IdentityServiceServicer):
    """Servicer of one unit. originals: finds messages; wall_ms: Unix ms. organisations: which
    domains of an account's own identifiers are organisations'; None: nobody knows. clock: monotonic
    seconds; rate: see ASKED."""

    def __init__(
        self,
        accounts: Accounts,
        callers: Callers,
        originals: OriginalFinder,
        *,
        wall_ms: Callable[[], int],
        organisations: ProvedDomains | None = None,
        clock: Callable[[], float] = time.monotonic,
        rate: Rate = ASKED,
    ) -> None:
        self._accounts = accounts
        self._callers = callers
        self._originals = originals
        self._wall_ms = wall_ms
        self._organisations = organisations
        self._clock = clock
        self._asked = TokenBuckets(rate, most_keys=MOST_ACCOUNTS)
        self.answered: Counter[str] = Counter()  # for metrics: suggestions and replies
        self.warned: Counter[str] = Counter()  # warnings in them, by rule

    async def Suggest(self, request: pb.SuggestRequest, context: _Context) -> pb.SuggestResponse:
        resident = self._callers.resident(context.invocation_metadata() or ())
        named = len(request.contactees) + len(request.chosen_to)
        named += sum(len(one.identifiers) for one in request.contactees)
        self._take(resident, named)
        asked = contactees_of(request.contactees)
        chosen = chosen_of(request.chosen_from, request.chosen_to, asked)
        conversation = conversation_of(request.conversation)
        return suggestion_to_proto(await self._suggested(resident, conversation, asked, chosen))

    async def CheckLeaks(
        self, request: pb.CheckLeaksRequest, context: _Context
    ) -> pb.CheckLeaksResponse:
        resident = self._callers.resident(context.invocation_metadata() or ())
        self._take(resident, 2 * len(request.recipients))
        asked, chosen = checked_of(request)
        conversation = conversation_of(request.conversation)
        found = await self._suggested(resident, conversation, asked, chosen)
        return pb.CheckLeaksResponse(warnings=warnings_to_proto(found.warnings))

    async def _suggested(
        self, resident: Resident, conversation: bytes, asked: list[Contactee], chosen: Chosen
    ) -> Suggestion:
        """Raises NotYourIdentifier."""

        def read(
            db: sqlite3.Connection, owner: int
        ) -> tuple[list[OwnIdentity], list[Contactee], History]:
            if chosen.contactor:
                kept.check_own(db, owner, chosen.contactor)
            known = kept.known_of(db, owner, [one.member for one in asked])
            whole = with_known(asked, chosen, known)
            uris = {each.uri for one in whole for each in one.identifiers}
            own = kept.own_identities(db, owner)
            return own, whole, kept.history(db, owner, uris, conversation)

        own, contactees, history = self._accounts.read(resident, read)
        proved = await self._proved(resident, own)
        suggestion = suggest(
            with_choice(own, chosen.contactor),
            contactees,
            history,
            chosen=chosen,
            proved_organisations=proved,
            now_ms=self._wall_ms(),
        )
        self._count("suggestion", suggestion.warnings)
        return suggestion

    def _count(self, what: str, warnings: Sequence[IdentityWarning]) -> None:
        self.answered[what] += 1
        self.warned.update(one.rule.value for one in warnings)

    def _take(self, resident: Resident, named: int) -> None:
        """Before anything is read: what that costs, the caller decides. named: members and
        identifiers."""
        cost, key = 1.0 + named / FOR_ONE, (resident.tenant, resident.account)
        if wait_s := self._asked.take(key, self._clock(), cost):
            raise TooMuchAsked(
                "this account has asked too much; wait, or ask of fewer identifiers",
                retry_after_s=wait_s,
            )

    async def PlanReply(
        self, request: pb.PlanReplyRequest, context: _Context
    ) -> pb.PlanReplyResponse:
        resident = self._callers.resident(context.invocation_metadata() or ())
        wanted = message_of(request.message)
        mode = mode_of(request.mode)
        chosen = Chosen(contactor=own_choice_of(request.chosen_from))

        def read(
            db: sqlite3.Connection, owner: int
        ) -> tuple[OriginalMessage, list[OwnIdentity], History]:
            if chosen.contactor:
                kept.check_own(db, owner, chosen.contactor)
            found = self._originals(db, owner, resident.account, wanted)
            own = kept.own_identities(db, owner)
            return found, own, kept.history(db, owner, found.member_of, found.conversation)

        found, own, history = self._accounts.read(resident, read)
        proved = await self._proved(resident, own)
        planned = plan_reply(
            mode,
            found.original,
            with_choice(own, chosen.contactor),
            history,
            chosen=chosen,
            proved_organisations=proved,
            now_ms=self._wall_ms(),
        )
        self._count("reply", planned.warnings)
        to = [(found.member_of.get(one.uri, one.uri), one.uri) for one in planned.to]
        same = mode is not ReplyMode.FORWARD and {member for member, _ in to} == {*found.members}
        return reply_to_proto(planned, to, found.conversation if same else b"")

    async def _proved(self, resident: Resident, own: list[OwnIdentity]) -> Collection[str]:
        if self._organisations is None:
            return ()
        return await self._organisations.of(resident, [one.uri for one in own])


def with_choice(own: list[OwnIdentity], chosen: str) -> list[OwnIdentity]:
    """Own identities with the one that was chosen, which may be beyond those that are looked at."""
    if not chosen or any(one.uri == chosen for one in own):
        return own
    return [*own[:-1], OwnIdentity(uri=chosen, organisation=organisation_of(chosen))]
