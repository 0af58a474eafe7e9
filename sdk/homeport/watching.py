"""A watch of one client's assignment, as steps for a client to perform.

Decides from where to resume after a broken stream, which server to ask and when, and which
responses are changes. Assignments are compared, not counted: where a server cannot resume, it
sends the assignment as it stands, and the caller hears only of a difference. Does no I/O;
clocks and jitter are the core's.
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
from homeport.steps import (
    CacheDelete,
    CachePut,
    Method,
    Notify,
    OpenWatch,
    Receive,
    Wait,
    WatchSteps,
)
from homeport.values import Assignment, AssignmentChange, AssignmentChangeKind

WATCH = Method(ProvisioningServiceStub, "WatchAssignment")

_ENDED = Failure(Code.UNAVAILABLE, "the server ended the watch")
# Failures of one server that end a call; a watch goes on with another server.
_FAULTS = frozenset({Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS, Code.ABORTED})


def watch(core: Core, client: Assignment | str, *, give_up_s: float | None) -> WatchSteps:
    """Changes of the client's assignment, for ever. With an Assignment only what differs from
    it; with an id, the assignment first. Raises HomeportError: NotFound for a client without an
    assignment; Unavailable when no server could be watched for `give_up_s`; and what no retry
    can help."""
    if give_up_s is not None and not give_up_s > 0:
        raise ValueError(f"give_up_s is {give_up_s}; give seconds greater than 0, or None")
    if isinstance(client, Assignment):
        return _WatchState(core, client.client_id, client).steps(give_up_s)
    return _WatchState(core, checked_id(client), None).steps(give_up_s)


class _WatchState:
    """The state of one watch: the assignment as known, and from where to resume."""

    def __init__(self, core: Core, client_id: str, known: Assignment | None) -> None:
        self._core = core
        self._client_id = client_id
        self._home = known
        self._begun = known is not None  # whether the caller knows an assignment already
        # Where to resume. An Assignment does not say at which revision it was read, so the
        # first response is the assignment as it stands, and is compared.
        self._epoch = 0
        self._revision = 0

    def steps(self, give_up_s: float | None) -> WatchSteps:
        core = self._core
        failed_tries = 0  # since the last message
        asked: list[str] = []
        lost_at = core.clock()  # since when no server is watched
        while True:
            server = core.endpoints.current
            sent_at = core.wall()
            request = self._request()
            request.ticket = yield from core.last_ticket(self._client_id)
            yield OpenWatch(server, WATCH, request, self._client_id)
            asked = [*asked[-7:], server]
            while True:
                message = yield Receive(core.policy.watch_silence_s)
                if message is None or isinstance(message, Failure):
                    break
                failed_tries, asked = 0, [server]
                yield from self._on_message(message, core.wall() if self._begun else sent_at)
            failure = message or _ENDED
            if failure.code is Code.OUT_OF_RANGE and self._revision:
                self._epoch = self._revision = 0
                continue  # the revision is compacted; the same server sends the state as it stands
            if failure.code is Code.NOT_FOUND and self._home is not None:
                self._epoch, self._revision = self._home.epoch, 0
                yield from self._on_released("")
                continue
            lost_at = lost_at if failed_tries else core.clock()
            failed_tries += 1
            wait = self._wait_after(failure, server, failed_tries)
            if wait is None or (
                give_up_s is not None and core.clock() + wait - lost_at > give_up_s
            ):
                raise error_of(failure, servers=asked, attempts=failed_tries)
            yield Wait(wait)

    def _request(self) -> pb.WatchAssignmentRequest:
        return pb.WatchAssignmentRequest(
            tenant=self._core.tenant,
            client_id=self._client_id,
            known_epoch=self._epoch,
            revision=self._revision,
        )

    def _wait_after(self, failure: Failure, server: str, failed_tries: int) -> float | None:
        """Seconds until the next try, never at once: everybody who watched a server that died
        is about to do the same. None: trying again cannot help."""
        core, policy = self._core, self._core.policy
        rounds = max(1, failed_tries // len(core.endpoints))
        jitter = core.jitter()
        if failure.code in _FAULTS:
            core.endpoints.mark_failed(server)
            return backoff_s(policy, rounds, jitter)
        if REMEDIES[failure.code] is Remedy.NOTHING:
            return None
        core.endpoints.mark_failed(server)
        wait = wait_s(failure, policy, rounds=rounds, untried=False, jitter=jitter)
        return backoff_s(policy, rounds, jitter) if wait is None else wait

    def _on_message(self, message: pb.WatchAssignmentResponse, sent_at: float) -> WatchSteps:
        """One response: a change, or a keep-alive."""
        self._revision = message.revision
        if message.released:
            yield from self._on_released(message.cause)
        elif message.HasField("assignment"):
            yield from self._on_assigned(watched_assignment_of(message, sent_at), message.cause)

    def _on_assigned(self, home: Assignment, cause: str) -> WatchSteps:
        before, begun = self._home, self._begun
        self._home, self._epoch, self._begun = home, home.epoch, True
        if self._core.uses_cache and home.ticket:
            yield CachePut(home)
        if not begun:
            kind = AssignmentChangeKind.HOME
        elif before is None or home.epoch < before.epoch:
            kind = AssignmentChangeKind.ASSIGNED
        elif home.epoch > before.epoch:
            kind = AssignmentChangeKind.MOVED
        elif _is_same(home, before):
            return
        else:
            kind = AssignmentChangeKind.ASSIGNED  # released and assigned again, at the same epoch
        yield Notify(AssignmentChange(kind=kind, assignment=home, previous=before, cause=cause))

    def _on_released(self, cause: str) -> WatchSteps:
        before, self._home = self._home, None
        if before is None and self._begun:
            return  # the caller knows
        self._begun = True
        if before is not None:
            self._epoch = before.epoch
        if self._core.uses_cache:
            yield CacheDelete(self._core.tenant, self._client_id)
        yield Notify(
            AssignmentChange(
                kind=AssignmentChangeKind.RELEASED, assignment=None, previous=before, cause=cause
            )
        )


def _is_same(home: Assignment, before: Assignment) -> bool:
    """Whether two responses of equal epoch are of one assignment."""
    if home.unit_id != before.unit_id:
        return False
    times: tuple[Any, Any] = (home.assigned_at, before.assigned_at)
    return None in times or times[0] == times[1]
