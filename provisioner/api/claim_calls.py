"""ClaimCalls: ClaimHandle, as a hot method of units, whose calls have no entry in the audit log.
Those of operators have one, and take the ordinary way.

A first claim of a free handle has no task; where it turns out to be another one, it has.
"""

from __future__ import annotations

from functools import partial

from google.protobuf.message import DecodeError

from control_plane.auth.roles import Role
from control_plane.errors import ServiceError
from control_plane.serving.calls import HotCall
from control_plane.store.port import OutcomeUnknown
from homeport.api.directory.v1 import directory_pb2 as pb
from provisioner.api.callers import Callers
from provisioner.api.directory_service import DirectoryService
from provisioner.api.waiting_calls import WaitingCalls
from provisioner.directory.first_claims import Rest
from provisioner.directory.handles import HeldHandle

CLAIM = "/homeport.api.directory.v1.DirectoryService/ClaimHandle"
WITHIN_S = 30.0  # a claim, whatever deadline its caller has
OPERATOR = Role.OPERATOR  # a member is looked up in its class at 0.1 us


class ClaimCalls:
    """`begin` is the method; `run` is a task of the owner's."""

    def __init__(self, service: DirectoryService, callers: Callers) -> None:
        self._service = service
        self._callers = callers
        self._calls = WaitingCalls(within_s=WITHIN_S, too_late=_too_late)
        self.run = self._calls.run

    def begin(self, call: HotCall) -> bool:
        """ClaimHandle; False: the ordinary method answers."""
        try:
            request = pb.ClaimHandleRequest.FromString(call.payload)
        except DecodeError:
            return False  # it says what is wrong
        try:
            caller = self._callers.admit_message(CLAIM, call, request)
            is_free = caller.may(OPERATOR)
            if is_free and not self._callers.open:
                return False
            left_s = call.time_left_s()
            if not self._service.begin_claim(
                request,
                free=lambda: is_free,
                within_s=WITHIN_S if left_s is None else left_s,
                told=partial(self._told, call),
            ):
                self._calls.add(call, partial(self._claim, request, is_free))
        except ServiceError as error:
            call.fail(error)
        return True

    def _told(self, call: HotCall, said: HeldHandle | ServiceError | Rest) -> None:
        """What became of a claim that was begun without a task."""
        if isinstance(said, HeldHandle):
            call.reply(_answer(said))
        elif isinstance(said, ServiceError):
            call.fail(said)
        else:
            try:
                self._calls.add(call, partial(_rest, said))
            except ServiceError:  # so many wait that nobody looks whether it was done
                call.fail(_too_late())

    async def _claim(self, request: pb.ClaimHandleRequest, free: bool) -> bytes:
        answer = await self._service.claim_handle(request, free=lambda: free)
        return answer.SerializeToString()


async def _rest(rest: Rest) -> bytes:
    return _answer(await rest())


def _answer(held: HeldHandle) -> bytes:
    return pb.ClaimHandleResponse(handle=held.handle, revision=held.revision).SerializeToString()


def _too_late() -> ServiceError:
    return OutcomeUnknown("the store did not answer in time; try again, with the same id")
