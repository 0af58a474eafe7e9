"""Watching: follows one client's home, as steps for a shell to carry out.

Decides what to ask for after a break, which server to ask and when, and what of the answers
is news. What is known is compared, not counted: after a break the home is told anew where
the server cannot vouch for the time between, and only a difference reaches the caller. Does
no I/O; clocks and randomness are the core's.
"""

from __future__ import annotations

from typing import Any

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1.provisioning_pb2_grpc import ProvisioningServiceStub
from homeport.core import Core
from homeport.errors import error_of
from homeport.failure import Code, Failure
from homeport.messages import checked_id, watched_assignment_of
from homeport.retrying import REMEDIES, Remedy, backoff_s, wait_s
from homeport.steps import Forget, Listen, Method, Receive, Remember, Tell, Wait, WatchSteps
from homeport.values import Assignment, Change, ChangeKind

WATCH = Method(ProvisioningServiceStub, "WatchAssignment")

_ENDED = Failure(Code.UNAVAILABLE, "the server ended the watch")
# A fault of one server; a call would be told of it, a watch goes on with another one.
_FAULTS = frozenset({Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS, Code.ABORTED})


def watch(core: Core, client: Assignment | str, *, give_up_s: float | None) -> WatchSteps:
    """What becomes of the client's home, for ever. With an Assignment only what differs from
    it; with an id, the home first. Raises HomeportError: NotFound for a client without a
    home; Unavailable when no server could be watched for `give_up_s`; and whatever trying
    again cannot help."""
    if give_up_s is not None and not give_up_s > 0:
        raise ValueError(f"give_up_s is {give_up_s}; give seconds greater than 0, or None")
    if isinstance(client, Assignment):
        return _Following(core, client.client_id, client).steps(give_up_s)
    return _Following(core, checked_id(client), None).steps(give_up_s)


class _Following:
    """One watch: what is known, and how it is going."""

    def __init__(self, core: Core, client_id: str, known: Assignment | None) -> None:
        self._core = core
        self._client_id = client_id
        self._home = known
        self._begun = known is not None  # whether the caller knows what to compare with
        # What to go on from. An Assignment does not say at which revision it was seen, so the
        # first answer is the home as it stands, and is compared.
        self._epoch = 0
        self._revision = 0

    def steps(self, give_up_s: float | None) -> WatchSteps:
        core = self._core
        in_vain = 0  # tries since a message came
        asked: list[str] = []
        lost_at = core.clock()  # since when there is no server to watch
        while True:
            server = core.endpoints.current
            sent_at = core.wall()
            yield Listen(server, WATCH, self._request())
            asked = [*asked[-7:], server]
            while True:
                message = yield Receive(core.policy.watch_silence_s)
                if message is None or isinstance(message, Failure):
                    break
                in_vain, asked = 0, [server]
                yield from self._take(message, core.wall() if self._begun else sent_at)
            failure = message or _ENDED
            if failure.code is Code.OUT_OF_RANGE and self._revision:
                self._epoch = self._revision = 0
                continue  # the server is well, and will say how things stand
            if failure.code is Code.NOT_FOUND and self._home is not None:
                self._epoch, self._revision = self._home.epoch, 0
                yield from self._released("")
                continue
            lost_at = lost_at if in_vain else core.clock()
            in_vain += 1
            wait = self._wait_after(failure, server, in_vain)
            if wait is None or (
                give_up_s is not None and core.clock() + wait - lost_at > give_up_s
            ):
                raise error_of(failure, servers=asked, attempts=in_vain)
            yield Wait(wait)

    def _request(self) -> pb.WatchAssignmentRequest:
        return pb.WatchAssignmentRequest(
            tenant=self._core.tenant,
            client_id=self._client_id,
            known_epoch=self._epoch,
            revision=self._revision,
        )

    def _wait_after(self, failure: Failure, server: str, in_vain: int) -> float | None:
        """Seconds until the next try, never at once: everybody who watched a server that died
        is about to do the same. None: trying again cannot help."""
        core, policy = self._core, self._core.policy
        rounds = max(1, in_vain // len(core.endpoints))
        chance = core.random()
        if failure.code in _FAULTS:
            core.endpoints.failed(server)
            return backoff_s(policy, rounds, chance)
        if REMEDIES[failure.code] is Remedy.NOTHING:
            return None
        core.endpoints.failed(server)
        wait = wait_s(failure, policy, rounds=rounds, untried=False, chance=chance)
        return backoff_s(policy, rounds, chance) if wait is None else wait

    def _take(self, message: pb.WatchAssignmentResponse, sent_at: float) -> WatchSteps:
        """One message: news, or a sign of life."""
        self._revision = message.revision
        if message.released:
            yield from self._released(message.cause)
        elif message.HasField("assignment"):
            yield from self._homed(watched_assignment_of(message, sent_at), message.cause)

    def _homed(self, home: Assignment, cause: str) -> WatchSteps:
        before, begun = self._home, self._begun
        self._home, self._epoch, self._begun = home, home.epoch, True
        if self._core.caches and home.ticket:
            yield Remember(home)
        if not begun:
            kind = ChangeKind.HOME
        elif before is None or home.epoch < before.epoch:
            kind = ChangeKind.ASSIGNED
        elif home.epoch > before.epoch:
            kind = ChangeKind.MOVED
        elif _is_same(home, before):
            return
        else:
            kind = ChangeKind.ASSIGNED  # the same epoch, of another life
        yield Tell(Change(kind=kind, assignment=home, previous=before, cause=cause))

    def _released(self, cause: str) -> WatchSteps:
        before, self._home = self._home, None
        if before is None and self._begun:
            return  # told already
        self._begun = True
        if before is not None:
            self._epoch = before.epoch
        if self._core.caches:
            yield Forget(self._core.tenant, self._client_id)
        yield Tell(Change(kind=ChangeKind.RELEASED, assignment=None, previous=before, cause=cause))


def _is_same(home: Assignment, before: Assignment) -> bool:
    """Whether two answers of equal epoch speak of one assignment."""
    if home.unit_id != before.unit_id:
        return False
    times: tuple[Any, Any] = (home.assigned_at, before.assigned_at)
    return None in times or times[0] == times[1]
