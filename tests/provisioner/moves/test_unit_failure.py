"""What a failed call to a unit comes to: the unit's own status, even behind a late write."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from grpc import aio

from provisioner.moves.unit_failure import ImportStatus, failure

LATE_WRITE = "Internal error from Core"


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        (grpc.StatusCode.UNAVAILABLE, True),
        (grpc.StatusCode.DEADLINE_EXCEEDED, True),
        (grpc.StatusCode.DATA_LOSS, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, True),
        (grpc.StatusCode.PERMISSION_DENIED, False),
        (grpc.StatusCode.FAILED_PRECONDITION, False),
        (grpc.StatusCode.UNIMPLEMENTED, False),
    ],
)
def test_a_status_says_what_was_answered_and_whether_to_try_again(code, retryable):
    assert failure(code, "why") == (f"answered {code.name}: why", retryable)


class FakeCall:
    """An import call whose status the test sets, as grpc.aio does: now, or not yet."""

    def __init__(self) -> None:
        self.status: tuple[grpc.StatusCode, str] | None = None
        self.callbacks = []

    def add_done_callback(self, callback) -> None:
        self.callbacks.append(callback)

    async def code(self):
        if self.status is None:
            await asyncio.Event().wait()
        return self.status[0]

    async def details(self):
        if self.status is None:
            await asyncio.Event().wait()
        return self.status[1]

    def end(self, code: grpc.StatusCode, details: str) -> None:
        self.status = (code, details)
        for callback in self.callbacks:
            callback(self)


def error(code: grpc.StatusCode, details: str) -> aio.AioRpcError:
    return aio.AioRpcError(code, aio.Metadata(), aio.Metadata(), details=details)


REFUSED = (grpc.StatusCode.FAILED_PRECONDITION, "newer state is kept")
HIDDEN = error(grpc.StatusCode.INTERNAL, LATE_WRITE)


async def test_an_error_that_says_something_is_what_was_answered():
    status = ImportStatus(FakeCall())
    assert await status.failure(error(*REFUSED)) == failure(*REFUSED)


async def test_a_status_that_a_late_write_hid_is_found_again():
    call = FakeCall()
    status = ImportStatus(call)
    call.end(*REFUSED)
    call.status = (grpc.StatusCode.INTERNAL, LATE_WRITE)
    assert await status.failure(HIDDEN) == failure(*REFUSED)


async def test_a_status_that_comes_after_the_late_write_is_waited_for():
    call = FakeCall()
    status = ImportStatus(call)
    call.end(grpc.StatusCode.INTERNAL, LATE_WRITE)
    found = asyncio.create_task(status.failure(HIDDEN))
    await asyncio.sleep(0)
    call.status = REFUSED
    assert await found == failure(*REFUSED)


async def test_where_no_status_ever_comes_the_call_may_be_tried_again():
    found = await ImportStatus(FakeCall(), poll_s=0.0).failure(HIDDEN)
    assert (found.reason, found.retryable) == ("ended the call without a status", True)
