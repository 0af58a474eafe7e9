"""EventStreams: the messages of an account as server-sent events, each as it comes.

    id: 17
    data: {"message": {…}}

The id is a message's position: a browser whose connection broke says the last one (Last-Event-ID)
and goes on there. The stream is what Subscribe gives, so it ends with the ticket; how it ended is
its last event, `end`, with a google.rpc.Status. Messages are read as they are sent, and wait in the
database and not here; who takes nothing for WRITE_S is let go, and may come again with its position
(https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from aiohttp import web
from google.protobuf import json_format
from google.rpc import status_pb2

from control_plane.errors import InvalidInput
from control_plane.http_serving.in_process import CallFailed, InProcessMethods
from control_plane.http_serving.json_messages import dumped, to_json
from control_plane.http_serving.status_json import PRIVATE, status_in
from control_plane.serving.errors_to_status import draining
from deployment_units.services.web.calls import MethodCalls
from homeport.api.communication.v1 import conversation_pb2 as pb

SUBSCRIBE: Final = "/homeport.api.communication.v1.ConversationService/Subscribe"
LAST_EVENT_ID: Final = "Last-Event-ID"
KEEP_ALIVE_S: Final = 15.0  # proxies let go of what says nothing for longer
WRITE_S: Final = 20.0  # for what is sent to be taken
AGAIN_MS: Final = 1_000  # after which a browser connects anew
_MOST_POSITION: Final = 2**63 - 1


class EventStreams:
    """Of one unit; use from its event loop. dropped: who took nothing for too long."""

    def __init__(
        self,
        calls: MethodCalls,
        methods: InProcessMethods,
        *,
        keep_alive_s: float = KEEP_ALIVE_S,
        write_s: float = WRITE_S,
    ) -> None:
        self._calls = calls
        self._methods = methods
        self._keep_alive_s = keep_alive_s
        self._write_s = write_s
        self._stopping = asyncio.Event()
        self.open = 0
        self.dropped = 0

    def stop(self) -> None:
        """Ends all: whoever comes again does so elsewhere, or once there is a new process."""
        self._stopping.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The handler of /events. Raises InvalidInput for what is no position."""
        asked = pb.SubscribeRequest(after=_position(request)).SerializeToString()
        context = self._calls.context(request)
        response = web.StreamResponse(headers={**PRIVATE, "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(request)
        self.open += 1
        try:
            await self._write(response, f"retry: {AGAIN_MS}\n\n".encode())
            async with aclosing(self._methods.responses(SUBSCRIBE, asked, context)) as messages:
                ended = await self._send(request, response, messages)
            await self._write(response, _end(ended))
            await response.write_eof()
        except TimeoutError:
            self.dropped += 1
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # nobody is there any more
        finally:
            self.open -= 1
        return response

    async def _send(
        self, request: web.Request, response: web.StreamResponse, messages: AsyncGenerator[bytes]
    ) -> status_pb2.Status:
        """Each message as it comes; why there are no more. Raises TimeoutError, ConnectionError."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        coming = asyncio.ensure_future(anext(messages))
        try:
            while not stopping.done():
                await asyncio.wait(
                    (coming, stopping),
                    timeout=self._keep_alive_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not coming.done():
                    await self._write(response, b": still here\n\n")
                    continue
                answer = coming.result()
                coming = asyncio.ensure_future(anext(messages))
                event = await self._calls.apart(request, len(answer), _event, answer)
                await self._write(response, event)
            return status_in(draining())
        except CallFailed as failed:
            return failed.status
        except StopAsyncIteration:
            return status_pb2.Status()
        finally:
            stopping.cancel()
            coming.cancel()
            await asyncio.wait((stopping, coming))
            if not coming.cancelled():
                coming.exception()  # it was looked at

    async def _write(self, response: web.StreamResponse, content: bytes) -> None:
        async with asyncio.timeout(self._write_s):
            await response.write(content)


def _position(request: web.BaseRequest) -> int:
    """Behind which the caller wants to go on: what the browser says counts more than the page."""
    said = request.headers.get(LAST_EVENT_ID) or request.query.get("after") or "0"
    if len(said) > 19 or not said.isascii() or not said.isdigit() or int(said) > _MOST_POSITION:
        raise InvalidInput("after", "after is the position of a message, a number")
    return int(said)


def _event(answer: bytes) -> bytes:
    response = pb.SubscribeResponse.FromString(answer)
    return b"id: %d\ndata: %b\n\n" % (response.message.position, dumped(to_json(response)))


def _end(status: status_pb2.Status) -> bytes:
    return b"event: end\ndata: %b\n\n" % dumped(json_format.MessageToDict(status))
