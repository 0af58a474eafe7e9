"""PushService: the gRPC servicer of an account's push addresses, in one unit.

What may be an address is the operator's list; that one is its owner's, a code says that is sent
there. Of an address no more than service and host is ever answered.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from control_plane.errors import Exhausted, InvalidInput, Refused, Unavailable
from control_plane.quotas.token_buckets import Rate, TokenBuckets
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels import push_kept
from deployment_units.services.channels.port import (
    OutgoingChannel,
    OutgoingMessage,
    SendOutcome,
    SendResult,
)
from deployment_units.services.channels.push import checked_address, place_of, shown_address
from deployment_units.services.channels.push_kept import PushAddressRow
from deployment_units.services.profiles.requests import label_of
from homeport.api.communication.v1 import push_pb2 as pb
from homeport.api.communication.v1 import push_pb2_grpc as pb_grpc

NAME = "homeport.api.communication.v1.PushService"
SEND_S = 15.0
CODES = Rate(per_s=1 / 600, burst=5.0)  # of one account
TO_ADDRESS = Rate(per_s=4 / 600, burst=20.0)  # of all accounts: no three keep others from it
MOST_REMEMBERED = 50_000
_ID = re.compile(r"[0-9a-f]{1,32}\Z")
_CODE = re.compile(r"[0-9]{8}\Z")
_Context = aio.ServicerContext[Any, Any]


class PushRefused(Refused):
    """The service does not take notices for the address."""

    reason = "PUSH_REFUSED"


class WrongCode(Refused):
    """It is not the code that was sent last, or that one has expired."""

    reason = "WRONG_CODE"


class PushService(pb_grpc.PushServiceServicer):
    """Servicer of one unit. allowed: hosts by schema; push: sends the codes; None: nothing is
    allowed. new_id: hex digits; new_code: 8 digits; wall_ms: Unix ms; clock: monotonic seconds."""

    def __init__(
        self,
        accounts: Accounts,
        callers: Callers,
        allowed: Mapping[str, frozenset[str]],
        push: OutgoingChannel | None,
        *,
        new_id: Callable[[], str],
        new_code: Callable[[], str],
        wall_ms: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._accounts = accounts
        self._callers = callers
        self._allowed = allowed if push is not None else {}
        self._push = push
        self._new_id = new_id
        self._new_code = new_code
        self._wall_ms = wall_ms
        self._clock = clock
        self._codes = TokenBuckets(CODES, most_keys=MOST_REMEMBERED)
        self._to_addresses = TokenBuckets(TO_ADDRESS, most_keys=MOST_REMEMBERED)

    async def ListPushAddresses(
        self, request: pb.ListPushAddressesRequest, context: _Context
    ) -> pb.ListPushAddressesResponse:
        found = self._accounts.read(self._resident(context), push_kept.listed)
        return pb.ListPushAddressesResponse(addresses=map(_to_proto, found))

    async def AddPushAddress(
        self, request: pb.AddPushAddressRequest, context: _Context
    ) -> pb.AddPushAddressResponse:
        resident = self._resident(context)
        address = checked_address(request.address, self._allowed)
        label, code, new_id = label_of(request.label), self._new_code(), self._new_id()

        def begin(db: sqlite3.Connection, owner: int) -> PushAddressRow:
            return push_kept.begin(
                db, owner, address, label, new_id=new_id, code=code, now_ms=self._wall_ms()
            )

        for buckets, key in (
            (self._codes, (resident.tenant, resident.account)),
            (self._to_addresses, place_of(address)),
        ):
            if wait_s := buckets.take(key, self._clock()):
                raise Exhausted("too many codes were sent; wait", retry_after_s=wait_s)
        row = await self._accounts.change(resident, begin)
        if row.proved_ms is not None:
            return pb.AddPushAddressResponse(address=_to_proto(row))
        await self._send(resident, row, code)
        return pb.AddPushAddressResponse(address=_to_proto(row), expire_time=_time(row.until_ms))

    async def ConfirmPushAddress(
        self, request: pb.ConfirmPushAddressRequest, context: _Context
    ) -> pb.ConfirmPushAddressResponse:
        resident, wanted = self._changing(context), _id_of(request.id)
        code = "".join(request.code.split()) if len(request.code) <= 64 else ""
        if not _CODE.match(code):
            raise InvalidInput("code", "code: has 8 digits, as they were sent")
        row = await self._accounts.change(
            resident,
            lambda db, owner: push_kept.confirm(db, owner, wanted, code, now_ms=self._wall_ms()),
        )
        if row.proved_ms is None:
            again = f"{row.tries} more tries" if row.tries else "no more tries; add it again"
            raise WrongCode(f"it is not the code that was sent last, or that has expired: {again}")
        return pb.ConfirmPushAddressResponse(address=_to_proto(row))

    async def RemovePushAddress(
        self, request: pb.RemovePushAddressRequest, context: _Context
    ) -> pb.RemovePushAddressResponse:
        resident, wanted = self._changing(context), _id_of(request.id)
        await self._accounts.change(resident, lambda db, owner: push_kept.remove(db, owner, wanted))
        return pb.RemovePushAddressResponse()

    def _changing(self, context: _Context) -> Resident:
        return self._callers.changing(context.invocation_metadata() or ())

    def _resident(self, context: _Context) -> Resident:
        return self._callers.resident(context.invocation_metadata() or ())

    async def _send(self, resident: Resident, row: PushAddressRow, code: str) -> None:
        """Raises PushRefused, Unavailable: then the address is not there any more, unless it was
        proved meanwhile."""
        try:
            result = await self._sent(row, code)
            if result.outcome is SendOutcome.REFUSED:
                raise PushRefused(f"{result.words}; look at the address")
            if result.outcome is SendOutcome.NOT_NOW:
                raise Unavailable(f"{result.words}; try again", retry_after_s=30.0)
        except (InvalidInput, PushRefused, Unavailable):
            await self._accounts.change(
                resident,
                lambda db, owner: push_kept.remove(db, owner, row.id, unless_proved=True),
            )
            raise

    async def _sent(self, row: PushAddressRow, code: str) -> SendResult:
        if self._push is None:
            raise Unavailable("this unit sends no notices")
        message = OutgoingMessage(
            message_id=f"code-{row.id}",
            attempt_id=f"code-{row.id}",
            address=row.address,
            text=f"Your code is {code[:4]} {code[4:]}. If you did not ask for it, ignore this.",
            subject="Notices of messages",
            automatic=True,
        )
        return await self._push.send(message, within_s=SEND_S)


def _id_of(id: str) -> str:
    if not _ID.match(id):
        raise InvalidInput("id", "id: is that of a push address, as it was told")
    return id


def _to_proto(row: PushAddressRow) -> pb.PushAddress:
    return pb.PushAddress(
        id=row.id,
        shown=shown_address(row.address),
        label=row.label,
        prove_time=None if row.proved_ms is None else _time(row.proved_ms),
    )


def _time(unix_ms: int) -> Timestamp:
    return Timestamp(seconds=unix_ms // 1_000, nanos=unix_ms % 1_000 * 1_000_000)
