"""How calls are made: deadlines, the next endpoint, pauses, a fresh token.

Reads are tried again, elsewhere first, until their deadline. A write is handed to a
connection that stands, once; after that it is either answered or OutcomeUnknown. What etcd
surely refused before proposing it (busy, token expired) was no write, and may be sent again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from control_plane.backoff import Backoff
from control_plane.store.etcd.connection import Member, Members
from control_plane.store.etcd.failures import (
    CALL_ERRORS,
    Failure,
    FailureKind,
    StoreRefused,
    failure_of,
)
from control_plane.store.port import Health, LeaseLost, OutcomeUnknown, StoreUnavailable

T = TypeVar("T")
Attempt = Callable[[Member, float], Awaitable[T]]  # (member, deadline of this try in s)

CONNECT_S = 1.0  # how long one endpoint may take to be connected
_SAME_MEMBER = (FailureKind.BUSY, FailureKind.LEADER_CHANGED)  # asked again after a pause
_LOGIN_TRY_S = 2.0  # etcd hashes the password with bcrypt: 50 ms and more of its CPU


class CompactedAway(Exception):
    """The revision asked for is compacted; etcd does not say up to where."""


class AuthenticationOff(Exception):
    """etcd asks nobody who they are, and so cannot log anybody in."""


REPEAT = Backoff(first_s=0.025, most_s=1.0, jittered=0.5)


@dataclass(slots=True)
class RepeatPauses:
    """The pauses of one call, or one watch, that is repeated until it succeeds."""

    rng: random.Random
    backoff: Backoff = REPEAT
    _failures: int = field(init=False, default=0)

    def next_s(self) -> float:
        """How long to sleep now."""
        pause_s = self.backoff.pause_s(self._failures, self.rng.random())
        self._failures += 1
        return pause_s

    def reset(self) -> None:
        """Back to the shortest, after a success."""
        self._failures = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A user of etcd's own authentication."""

    user: str
    password: str = field(repr=False)


class Calls:
    """Makes calls for the store and the watches of one cluster."""

    def __init__(
        self,
        members: Members,
        *,
        credentials: Credentials | None,
        health: Health,
        try_timeout_s: float,
        rng: random.Random,
    ) -> None:
        self.members = members
        self.rng = rng
        self._credentials = credentials
        self.health = health
        self._try_timeout_s = try_timeout_s
        self._login = asyncio.Lock()

    async def read(self, what: str, attempt: Attempt[T], timeout_s: float) -> T:
        """The answer of one of as many tries as fit into `timeout_s`; those of the first
        round over the endpoints may each take the per-try deadline, those of each later round
        twice as long as in the one before. Raises StoreUnavailable, ValueError, LeaseLost,
        CompactedAway."""
        return await self._call(what, attempt, timeout_s, self._try_timeout_s)

    async def write(self, what: str, attempt: Attempt[T], timeout_s: float) -> T:
        """The answer to a request that is sent once. Raises StoreUnavailable when it never
        left or was surely refused, OutcomeUnknown, and what `read` raises."""
        return await self._call(what, attempt, timeout_s, None)

    async def _call(
        self, what: str, attempt: Attempt[T], timeout_s: float, try_s: float | None
    ) -> T:
        """`try_s` None: a write."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout_s
        members = self.members
        failure: Failure | None = None
        tries = logins = 0
        pause: RepeatPauses | None = None
        while (left := deadline - clock()) > 0 and not members.closed:
            member = members.current
            token = members.token
            if not await member.ready(min(left, CONNECT_S)):
                failure = unreachable(member)
            else:
                try:
                    answer = await attempt(member, min(left, try_s) if try_s else left)
                except CALL_ERRORS as error:
                    failure = failure_of(error)
                except asyncio.CancelledError:
                    if not members.ended_call():
                        raise
                    failure = Failure(kind=FailureKind.UNANSWERED, detail="the store was closed")
                else:
                    self.health.connected = True
                    return answer
            self.failed(failure)
            match failure.kind:
                case FailureKind.TOKEN_EXPIRED if self._credentials and logins < 2:
                    logins += 1
                    await self.log_in(token, deadline - clock())
                    continue
                case FailureKind.BUSY:
                    pass
                case FailureKind.UNREACHABLE:
                    members.leave(member)
                    if try_s is None and tries + 1 >= len(members):
                        break  # every endpoint was asked for a connection, none has one
                case FailureKind.LEADER_CHANGED if try_s is not None:
                    pass  # the member has a leader again: nobody is as sure to answer
                case FailureKind.UNANSWERED | FailureKind.LEADER_CHANGED:
                    members.leave(member)
                    if try_s is None:
                        raise_for(failure, what, written=True)
                    if (tries + 1) % len(members) == 0:
                        try_s *= 2
                case _:
                    raise_for(failure, what, written=try_s is None)
            tries += 1
            if failure.kind in _SAME_MEMBER or tries % len(members) == 0:
                pause = pause or RepeatPauses(self.rng)
                await asyncio.sleep(min(pause.next_s(), max(0.0, deadline - clock())))
        said = failure.detail if failure else "the store is closed"
        raise StoreUnavailable(
            f"could not {what} at etcd ({members.addresses}) within {timeout_s:g} s: {said}"
        )

    async def log_in(self, stale: str | None, timeout_s: float) -> None:
        """Gets a new token unless somebody has replaced `stale` already. Raises
        StoreUnavailable, StoreRefused."""
        credentials = self._credentials
        if credentials is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._login.acquire()
        except TimeoutError:
            raise StoreUnavailable(f"no token from etcd within {timeout_s:g} s") from None
        try:
            if self.members.token is stale:
                try:
                    answer = await self._call(
                        f"log in as {credentials.user}",
                        lambda member, try_s: member.auth.authenticate(
                            credentials.user, credentials.password, timeout=try_s
                        ),
                        timeout_s,
                        _LOGIN_TRY_S,
                    )
                except AuthenticationOff:
                    self.members.use_token(None)  # until somebody turns it on
                else:
                    self.members.use_token(answer.token)
        finally:
            self._login.release()

    def answered(self, revision: int) -> None:
        """Notes in the store's health that etcd answered, as of `revision`."""
        self.health.connected = True
        if revision > self.health.last_revision:
            self.health.last_revision = revision

    def failed(self, failure: Failure) -> None:
        """Counts the failure in the store's health."""
        kind = failure.kind
        errors = self.health.errors
        errors[kind.value] = errors.get(kind.value, 0) + 1
        if kind in (FailureKind.UNREACHABLE, FailureKind.UNANSWERED, FailureKind.LEADER_CHANGED):
            self.health.connected = False


def unreachable(member: Member) -> Failure:
    """There is no connection to the member, and the request stayed here."""
    return Failure(kind=FailureKind.UNREACHABLE, detail=f"no connection to {member.address}")


def raise_for(failure: Failure, what: str, *, written: bool) -> NoReturn:
    """Raises what the port promises for a failure that nothing can be done about here."""
    said = f"could not {what}: {failure.detail}"
    match failure.kind:
        case FailureKind.COMPACTED:
            raise CompactedAway(failure.detail)
        case FailureKind.AUTHENTICATION_OFF:
            raise AuthenticationOff(failure.detail)
        case FailureKind.LEASE_GONE:
            raise LeaseLost(said)
        case FailureKind.INVALID:
            raise ValueError(said)
        case FailureKind.TOKEN_EXPIRED | FailureKind.REFUSED:
            raise StoreRefused(f"{said}; check the user, its password and its roles at etcd")
        case FailureKind.NO_SPACE:
            said += (
                "; etcd is over its quota: compact, defragment or raise it, then disarm the alarm"
            )
            raise (OutcomeUnknown if written else StoreUnavailable)(said, retry_after_s=30.0)
        case _:
            raise (OutcomeUnknown if written else StoreUnavailable)(said)
