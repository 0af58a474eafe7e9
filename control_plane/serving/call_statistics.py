"""CallStatistics: how many calls of each method ended how, and how long they took.

`CallCounter` is an interceptor that sees every call once its first message is here, but the hot
ones of the native transport, which count for themselves. Only methods that a server has are
counted, so a caller makes no labels. A stream's length says nothing of the server, so it is not
measured.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from grpc import aio

from control_plane.histogram import Histogram
from control_plane.serving.handlers import behaviour_of, status_of_failure, with_behaviour

OK = "OK"


class MethodStatistics:
    """Of one method. under_way: calls now, but hot ones. seconds: of unary calls, whatever their
    status: with `failures` it says how many were good, so that a good one is counted once."""

    __slots__ = ("failures", "seconds", "streams", "under_way")

    def __init__(self) -> None:
        self.seconds = Histogram()
        self.failures: dict[str, int] = {}  # by the name of their status
        self.streams = 0  # that ended well
        self.under_way = 0

    def failed(self, code: str, seconds: float | None = None) -> None:
        """A call ended with this status; seconds: how long it took, if it was a unary one."""
        self.failures[code] = self.failures.get(code, 0) + 1
        if seconds is not None:
            self.seconds.observe(seconds)

    def refused(self, code: str, count: int) -> None:
        """So many unary calls ended with this status as they came."""
        self.failures[code] = self.failures.get(code, 0) + count
        self.seconds.counts[0] += count

    def codes(self) -> dict[str, int]:
        """Calls that have ended, by the name of their status."""
        failures = self.failures.copy()
        unary = sum(self.seconds.counts)
        good = self.streams + (max(0, unary - sum(failures.values())) if unary else 0)
        return {OK: good, **failures}


class CallStatistics:
    """By method, as Service/Method without its package."""

    def __init__(self) -> None:
        self.methods: dict[str, MethodStatistics] = {}

    def of(self, path: str) -> MethodStatistics:
        """Of a method that the server has, by its full path."""
        service, _, method = path.lstrip("/").partition("/")
        name = f"{service.rpartition('.')[2]}/{method}"
        found = self.methods.get(name)
        if found is None:
            found = self.methods[name] = MethodStatistics()
        return found


class CallCounter(aio.ServerInterceptor):
    """Counts calls on their way out. clock: monotonic seconds."""

    def __init__(
        self, statistics: CallStatistics, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._statistics = statistics
        self._clock = clock

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None
        of_method = self._statistics.of(handler_call_details.method)
        count = self._stream if handler.response_streaming else self._unary
        return with_behaviour(handler, count(behaviour_of(handler), of_method))

    def _unary(
        self, behaviour: Callable[[Any, Any], Awaitable[Any]], of_method: MethodStatistics
    ) -> Any:
        async def counted(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
            began = self._clock()
            of_method.under_way += 1
            try:
                response = await behaviour(request, context)
            except BaseException as error:  # counted, and raised again
                code = status_of_failure(error, context)
                of_method.failed(code.name, self._clock() - began)
                raise
            else:
                of_method.seconds.observe(self._clock() - began)
                return response
            finally:
                of_method.under_way -= 1

        return counted

    def _stream(
        self, behaviour: Callable[[Any, Any], AsyncIterator[Any]], of_method: MethodStatistics
    ) -> Any:
        async def counted(
            request: Any, context: aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[Any]:
            of_method.under_way += 1
            try:
                async for response in behaviour(request, context):
                    yield response
            except BaseException as error:  # the same
                of_method.failed(status_of_failure(error, context).name)
                raise
            else:
                of_method.streams += 1
            finally:
                of_method.under_way -= 1

        return counted
