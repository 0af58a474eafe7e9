"""Request reading: from the bytes that a transport gives to messages that mean something.

Single messages and those of a stream are read by one reader; what is no message, or means nothing
(see request_check), is InvalidInput. A stream that is refused is heard out for a moment, because
a client that still writes may otherwise hear of the write that failed instead of the refusal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from control_plane.errors import InvalidInput, ServiceError, Unavailable
from control_plane.serving.request_check import check_request

HEAR_OUT_S = 0.25


def reader_of(deserializer: Callable[[bytes], Any] | None, *, stream: bool) -> Callable[[Any], Any]:
    """From what the transport gives, a request or an iterator of them, to messages. Without a
    deserializer a method takes bytes, and reads them itself."""
    if deserializer is None:
        return lambda request: request

    def read(content: bytes) -> Any:
        try:
            message = deserializer(content)
        except Exception as error:  # whatever the generated code raises, the bytes are at fault
            raise InvalidInput(
                "request", "the request is not the message this method takes, or not UTF-8"
            ) from error
        check_request(message)
        return message

    return (lambda requests: MessageStream(requests, read)) if stream else read


class MessageStream:
    """The messages of a client's stream. Raises InvalidInput for one that is none."""

    def __init__(self, contents: AsyncIterator[bytes], read: Callable[[bytes], Any]) -> None:
        self._contents = aiter(contents)
        self._read = read

    def __aiter__(self) -> MessageStream:
        return self

    async def __anext__(self) -> Any:
        return self._read(await anext(self._contents))


async def hear_out(request: Any, error: ServiceError) -> None:
    """Reads what a client still sends of a stream that ends with `error`, and drops it: until the
    client is done, for a quarter of a second at most. grpc.aio tells a client whose write fails
    INTERNAL, whatever status the server gave. Not while the server cannot serve: then somebody
    else is waited for."""
    if isinstance(request, bytes) or isinstance(error, Unavailable):
        return
    # The transport says in its own ways that a stream is over, or was left.
    with suppress(Exception):
        async with asyncio.timeout(HEAR_OUT_S):
            async for _ in request:
                pass
