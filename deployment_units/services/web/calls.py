"""MethodCalls: one call of a page to a method of the unit's services, as JSON.

    POST /api/ConversationService/SendMessage   {"conversation": "…", "content": {"text": "…"}}

The method is called as over gRPC, behind the same interceptors, with the ticket of the session as
its bearer; whoever is no browser may send the bearer itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import hdrs, web

from control_plane.errors import NotFound
from control_plane.http_serving.in_process import InProcessContext, InProcessMethods
from control_plane.http_serving.json_messages import dumped, read_message, to_json
from control_plane.http_serving.large_bodies import LargeBodies
from control_plane.http_serving.listener import certificate_of, peer_of_request
from control_plane.http_serving.request_parts import metadata_of_request, read_body
from control_plane.http_serving.status_json import PRIVATE
from control_plane.pacing import CoroutinePacer
from control_plane.serving.calls import Metadata
from control_plane.serving.peers import peer_group
from deployment_units.services.web.methods import WebMethod
from deployment_units.services.web.session_cookie import SessionCookie

CALL_S: Final = 30.0
REQUESTS_PER_PASS: Final = 8  # of an event loop, as calls over grpcio
MOST_BYTES: Final = 512 << 10  # of a body: a text of 64 KiB, however it is escaped
INLINE_BYTES: Final = 4 << 10  # of JSON that is read or written on the event loop


class MethodCalls:
    """Of one unit. secure: whether a request came over TLS, here or before here."""

    def __init__(
        self,
        unit_id: str,
        methods: InProcessMethods,
        known: Mapping[tuple[str, str], WebMethod],
        *,
        is_secure: Callable[[web.BaseRequest], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._unit_id = unit_id
        self._methods = methods
        self._known = known
        self._is_secure = is_secure
        self._large = LargeBodies()
        self._pacer = CoroutinePacer(per_pass=REQUESTS_PER_PASS, clock=clock)

    def cookie(self, request: web.BaseRequest) -> SessionCookie:
        """That of a session over this connection."""
        return SessionCookie(unit_id=self._unit_id, secure=self._is_secure(request))

    def metadata(self, request: web.BaseRequest) -> Metadata:
        """What the caller shows: a bearer, or the ticket of its session. Raises InvalidInput."""
        shown = metadata_of_request(request)
        ticket = request.cookies.get(self.cookie(request).name, "")
        if ticket and not any(name == "authorization" for name, _ in shown):
            return (*shown, ("authorization", f"Bearer {ticket}"))
        return shown

    def context(self, request: web.BaseRequest) -> InProcessContext:
        """Of a call that this request makes. Raises InvalidInput."""
        return InProcessContext(
            peer=peer_of_request(request),
            metadata=self.metadata(request),
            certificate=certificate_of(request),
            secured=request.secure,
            timeout_s=CALL_S,
        )

    async def read(self, request: web.Request, message: Any) -> None:
        """Fills an empty message with the body. Raises what `read_body` and `read_message` do."""
        body = await read_body(request, MOST_BYTES, "application/json")
        await self.apart(request, len(body), read_message, body, message, {})

    async def apart(
        self, request: web.BaseRequest, size: int, function: Callable[..., Any], *arguments: object
    ) -> Any:
        """What the function returns, apart from the event loop where `size` bytes are many."""
        if size <= INLINE_BYTES:
            return function(*arguments)
        return await self._large.work(peer_of_request(request), function, *arguments)

    async def call(self, request: web.Request) -> web.Response:
        """The handler of /api/SERVICE/METHOD. Raises CallFailed, and what `read` does."""
        named = request.match_info["service"], request.match_info["method"]
        method = self._known.get(named)
        if method is None:
            raise NotFound("there is no such method here; the contract says which there are")
        peer = peer_of_request(request)
        await self._pacer.turn(peer_group(peer), peer)
        context = self.context(request)
        message = method.request()
        await self.read(request, message)
        answer = await self._methods.unary(method.path, message.SerializeToString(), context)
        content = await self.apart(request, len(answer), _written, method, answer)
        return web.Response(body=content, content_type="application/json", headers=PRIVATE)


def _written(method: WebMethod, answer: bytes) -> bytes:
    return dumped(to_json(method.response.FromString(answer)))


def is_secure(request: web.BaseRequest, *, always: bool) -> bool:
    """Whether a browser reached us over TLS: here, or at what stands before us, which says so. To
    believe it costs nothing: the cookie is only kept to TLS. always: as something before us is
    known to."""
    said = request.headers.get(hdrs.X_FORWARDED_PROTO, "")
    return always or request.secure or said.strip().lower() == "https"
