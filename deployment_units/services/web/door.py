"""WebDoor: what is at which path of a unit's HTTP port, and what every answer has in common.

Whoever changes something has to be a page of ours, or no browser; each answer says what a browser
may do with it, errors as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import hdrs, web

from control_plane.http_serving.failures import failure_response
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.web.calls import MethodCalls
from deployment_units.services.web.client_files import INDEX, ClientFile, file_response
from deployment_units.services.web.confirmations import ConfirmationPages, Confirmations
from deployment_units.services.web.event_streams import EventStreams
from deployment_units.services.web.message_pages import MessagePages
from deployment_units.services.web.security_headers import (
    EVERYWHERE,
    POLICY_OF_DATA,
    check_same_origin,
)
from deployment_units.services.web.sessions import Sessions

POLICY: Final = "Content-Security-Policy"
DEVICE_CALLS: Final = "/api/DeviceService/"
SITE: Final = "Sec-Fetch-Site"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebDoor:
    """Of one unit. answered: requests by HTTP status."""

    def __init__(
        self,
        callers: Callers,
        calls: MethodCalls,
        sessions: Sessions,
        streams: EventStreams,
        files: Mapping[str, ClientFile],
        confirmations: Confirmations | None = None,
        messages: MessagePages | None = None,
    ) -> None:
        """confirmations: behind /a/TOKEN; messages: behind /m/TOKEN; None: there are none."""
        self._pages = ConfirmationPages(confirmations) if confirmations else None
        self._messages = messages
        self._callers = callers
        self._calls = calls
        self._sessions = sessions
        self._streams = streams
        self._files = files
        self.answered: dict[int, int] = {}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """See the module."""
        router.add_get("/", self._to_client)
        router.add_get("/client", self._to_client)
        router.add_get("/client/{path:.*}", self._file)
        router.add_post("/session", self._own(self._sessions.sign_in))
        router.add_get("/session", self._sessions.show)
        router.add_delete("/session", self._own(self._sessions.sign_out))
        router.add_post("/api/{service}/{method}", self._own(self._calls.call))
        if self._pages is not None:
            router.add_get("/a/{token}", self._pages.show)
            router.add_post("/a/{token}", self._pages.press)  # the token is what allows it
        if self._messages is not None:
            router.add_get("/m/{token}", self._messages.show)
        router.add_get("/events", self._events, allow_head=False)

    @web.middleware
    async def middleware(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """One request, however it ends."""
        try:
            response = await handler(request)
        except Exception as error:  # noqa: BLE001  # the boundary
            response = failure_response(error)
        self.answered[response.status] = self.answered.get(response.status, 0) + 1
        if not response.prepared:
            dress(response)
        if request.path.startswith(DEVICE_CALLS):
            response.force_close()  # another call comes over another connection, which tells more
        return response

    async def _to_client(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=308, headers={hdrs.LOCATION: "/client/"})

    async def _file(self, request: web.Request) -> web.StreamResponse:
        found = self._files.get(request.match_info["path"] or INDEX)
        if found is None:
            raise web.HTTPNotFound(text="there is nothing here; the client is at /client/")
        return file_response(request, found)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """A browser reads the status of what fails at once, and of a stream nothing but events."""
        self._callers.resident(self._calls.metadata(request))
        return await self._streams.serve(request)

    def _own(self, handler: _Handler) -> _Handler:
        async def checked(request: web.Request) -> web.StreamResponse:
            check_same_origin(
                site=request.headers.getall(SITE, []),
                origins=request.headers.getall(hdrs.ORIGIN, []),
                host=request.host,
            )
            return await handler(request)

        return checked


def dress(response: web.StreamResponse) -> None:
    """Gives an answer its headers, but a policy that it has."""
    for name, value in EVERYWHERE.items():
        response.headers[name] = value
    response.headers.setdefault(POLICY, POLICY_OF_DATA)
