"""ClaimCalls: ClaimHandle, as a hot method of units, whose calls have no entry in the audit log.
Those of operators have one, and take the ordinary way.
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

CLAIM = "/homeport.api.directory.v1.DirectoryService/ClaimHandle"
WITHIN_S = 30.0  # a claim, whatever deadline its caller has


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
            if caller.may(Role.OPERATOR) and not self._callers.open:
                return False
            free = caller.may(Role.OPERATOR)
            self._calls.add(call, partial(self._claim, request, free))
        except ServiceError as error:
            call.fail(error)
        return True

    async def _claim(self, request: pb.ClaimHandleRequest, free: bool) -> bytes:
        answer = await self._service.claim_handle(request, free=lambda: free)
        return answer.SerializeToString()


def _too_late() -> ServiceError:
    return OutcomeUnknown("the store did not answer in time; try again, with the same id")
