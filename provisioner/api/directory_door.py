"""DirectoryDoor: names over HTTP: WebFinger, pages of handles, and vCards.

    GET /.well-known/webfinger?resource=acct:anna@talk.example      RFC 7033
    GET /@anna      a page; a vCard where Accept would rather have one
    GET /@anna.vcf  a vCard 4.0 (RFC 6350)

Which tenant is meant, the Host says. A name that nobody has, one that may not be found and one that
is none are one answer, to the byte. Whoever shows a ticket of theirs sees what they may see.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from control_plane.errors import (
    Exhausted,
    InvalidInput,
    NotFound,
    ServiceError,
    Unauthenticated,
    Unavailable,
)
from control_plane.http_serving.json_messages import dumped
from control_plane.http_serving.listener import peer_of_request
from control_plane.http_serving.request_parts import metadata_of_request, one_header
from control_plane.http_serving.routes import path_and_query
from control_plane.identifiers.identifier import Identifier
from control_plane.pacing import CoroutinePacer
from control_plane.serving.peers import Proxies, peer_group
from provisioner.api.accepted_type import prefers
from provisioner.api.ticket_viewers import TicketViewers
from provisioner.directory import webfinger
from provisioner.directory.budgets import Asker, network_of
from provisioner.directory.profile_page import POLICY, error_page, profile_page
from provisioner.directory.public_hosts import PublicHosts
from provisioner.directory.public_profiles import PublicProfile, PublicProfiles

log = logging.getLogger(__name__)

CALL_S: Final = 10.0
REQUESTS_PER_PASS: Final = 8  # of an event loop
NAMES: Final = (webfinger.PATH, "/@{handle}", "/@{handle}.vcf")
"""What there is, for the table of who may call."""
HTML, VCARD = "text/html", "text/vcard"
_ALLOWED = "GET, HEAD, OPTIONS"
_EVERYWHERE: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Server": "homeport",  # and not which versions of what
}
_PUBLIC, _PRIVATE, _NEVER = "public, max-age=60", "private, no-store", "no-store"
_OUTCOMES = {
    HTTPStatus.OK: "found", HTTPStatus.NOT_FOUND: "missed", HTTPStatus.TOO_MANY_REQUESTS: "refused",
    HTTPStatus.SERVICE_UNAVAILABLE: "away",
}  # fmt: skip
_TITLES = {
    HTTPStatus.NOT_FOUND: "Nobody is here",
    HTTPStatus.TOO_MANY_REQUESTS: "Too much was looked up",
    HTTPStatus.SERVICE_UNAVAILABLE: "Away for a moment",
}
_NOBODY = "nobody is found by this name"


class DirectoryDoor:
    """A handler for every request of a listener. write_at: where one writes to an account, with
    `{handle}` in it; empty: nowhere. clock: monotonic seconds. outcomes: how many answers, by what
    came of them."""

    def __init__(
        self,
        hosts: PublicHosts,
        profiles: PublicProfiles,
        viewers: TicketViewers,
        proxies: Proxies,
        *,
        write_at: str,
        clock: Callable[[], float],
    ) -> None:
        self._hosts = hosts
        self._profiles = profiles
        self._viewers = viewers
        self._proxies = proxies
        self._write_at = write_at
        self._pacer = CoroutinePacer(per_pass=REQUESTS_PER_PASS, clock=clock)
        self.outcomes = dict.fromkeys((*_OUTCOMES.values(), "other"), 0)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Everything is answered by the middleware."""
        router.add_route("*", "/{path:.*}", _nothing)

    @web.middleware
    async def middleware(self, request: web.Request, handler: object) -> web.StreamResponse:
        """One request, however it ends."""
        path, query = path_and_query(request.raw_path)
        finger = path == webfinger.PATH
        try:
            async with asyncio.timeout(CALL_S):
                response = await self._answer(request, path, query)
        except Exception as error:  # noqa: BLE001  # the boundary
            response = _failed(error, as_page=not finger)
        response.headers.update(_EVERYWHERE)
        if finger:
            response.headers["Access-Control-Allow-Origin"] = "*"  # RFC 7033, 5
        self.outcomes[_OUTCOMES.get(HTTPStatus(response.status), "other")] += 1
        return response

    async def _answer(self, request: web.Request, path: str, query: str) -> web.Response:
        finger, name = path == webfinger.PATH, webfinger.behind_sign(path)
        if not finger and name is None:
            raise NotFound(_NOBODY)
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers={"Allow": _ALLOWED})
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            return web.Response(status=405, headers={"Allow": _ALLOWED}, text="use GET\n")
        if request.body_exists:
            raise InvalidInput("body", "leave the body out")
        peer = peer_of_request(request)
        await self._pacer.turn(peer_group(peer), peer)
        asked = webfinger.read_query(query) if finger else None
        host = self._hosts.read(one_header(request, hdrs.HOST))
        if host is None:
            raise NotFound(_NOBODY)
        asker = await self._asker(request, peer, host.tenant)
        seen = _PRIVATE if asker.viewer else _PUBLIC
        if asked is not None:
            identifier = webfinger.identifier_of(asked.resource, self._hosts.of(host.tenant))
            found = await self._found(identifier, asker)
            assert identifier is not None
            document = webfinger.jrd(asked, identifier, found, host)
            return web.Response(
                body=dumped(document),
                content_type=webfinger.MEDIA_TYPE,
                headers={"Cache-Control": seen, "Vary": "Authorization"},
            )
        assert name is not None
        return await self._page(request, name, asker, seen)

    async def _page(self, request: web.Request, name: str, asker: Asker, seen: str) -> web.Response:
        as_card = name.lower().endswith(".vcf")
        identifier = webfinger.handle_in(name[:-4] if as_card else name)
        (profile,) = await self._found(identifier, asker)
        accept = ", ".join(request.headers.getall(hdrs.ACCEPT, []))
        as_card = as_card or prefers(accept, VCARD, HTML)
        headers = {"Cache-Control": seen, "Vary": "Accept, Authorization"}
        if as_card:
            return web.Response(
                body=_vcard(profile).encode(), content_type=VCARD, charset="utf-8", headers=headers
            )
        page = profile_page(profile, write_at=self._write_at)
        return web.Response(body=page.encode(), content_type=HTML, charset="utf-8", headers=headers)

    async def _found(
        self, identifier: Identifier | None, asker: Asker
    ) -> tuple[PublicProfile, ...]:
        """Raises NotFound besides what PublicProfiles does."""
        if identifier is None:
            raise NotFound(_NOBODY)
        return await self._profiles.find(identifier, asker)

    async def _asker(self, request: web.Request, peer: str, tenant: str) -> Asker:
        """Raises Unauthenticated."""
        address = self._proxies.client_address(peer, metadata_of_request(request))
        network = network_of(address) if address else ""
        shown, viewer = one_header(request, hdrs.AUTHORIZATION), ""
        if shown:
            scheme, _, ticket = shown.partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthenticated("show a ticket as Bearer, or leave authorization out")
            viewer = await self._viewers.viewer(tenant, ticket.strip())
        return Asker(tenant=tenant, viewer=viewer, network=network, stranger=True)


async def _nothing(request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


def _vcard(profile: PublicProfile) -> str:
    if profile.seen.vcard:
        return profile.seen.vcard
    return f"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:@{profile.handle}\r\nEND:VCARD\r\n"


def _failed(error: Exception, *, as_page: bool) -> web.Response:
    """The answer that is this error; of everything that is not found, the same."""
    status, said = _said(error)
    headers = {"Cache-Control": _NEVER, "Vary": "Accept, Authorization"}
    if isinstance(error, ServiceError) and error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="homeport"'
    if not as_page:
        return web.Response(text=f"{said}\n", status=status, headers=headers)
    page = error_page(_TITLES.get(status, status.phrase), said)
    return web.Response(
        body=page.encode(), status=status, content_type=HTML, charset="utf-8", headers=headers
    )


def _said(error: Exception) -> tuple[HTTPStatus, str]:
    match error:
        case NotFound():
            return HTTPStatus.NOT_FOUND, _NOBODY
        case Exhausted():
            return HTTPStatus.TOO_MANY_REQUESTS, error.message
        case Unavailable():
            return HTTPStatus.SERVICE_UNAVAILABLE, f"{error.message}; try again in a moment"
        case InvalidInput():
            return HTTPStatus.BAD_REQUEST, error.message
        case Unauthenticated():
            return HTTPStatus.UNAUTHORIZED, error.message
        case TimeoutError():
            return HTTPStatus.SERVICE_UNAVAILABLE, "this takes too long; try again in a moment"
    log.error("a page could not be made", exc_info=error)
    return HTTPStatus.INTERNAL_SERVER_ERROR, "something failed here; see the server's log"
