"""Sessions: a browser shows its ticket once, and then its cookie does.

    POST /session {"ticket": "…"}   signs in;  GET says who is signed in;  DELETE signs out

A ticket comes in a body and never in an address: those end up in logs and histories.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import hdrs, web

from control_plane.errors import InvalidInput
from control_plane.http_serving.json_messages import dumped
from control_plane.http_serving.request_parts import read_body
from control_plane.http_serving.status_json import PRIVATE
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.web.calls import MethodCalls

MOST_BYTES = 8 << 10  # of a ticket in JSON


class _SignIn(msgspec.Struct, forbid_unknown_fields=True):
    ticket: str


class Sessions:
    """Of one unit. wall: Unix seconds."""

    def __init__(
        self, unit_id: str, callers: Callers, calls: MethodCalls, *, wall: Callable[[], float]
    ) -> None:
        self._unit_id = unit_id
        self._callers = callers
        self._calls = calls
        self._wall = wall

    async def sign_in(self, request: web.Request) -> web.Response:
        """Raises InvalidInput, and for what is no good ticket what a call would."""
        body = await read_body(request, MOST_BYTES, "application/json")
        try:
            ticket = msgspec.json.decode(body, type=_SignIn).ticket.strip()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput("ticket", 'send {"ticket": "…"}, as the provisioner gave it') from (
                error
            )
        response = self._said((("authorization", f"Bearer {ticket}"),))
        ends = self._callers.expiry((("authorization", f"Bearer {ticket}"),))
        cookie = self._calls.cookie(request).signed_in(ticket, left_s=ends - self._wall())
        response.headers[hdrs.SET_COOKIE] = cookie
        return response

    async def show(self, request: web.Request) -> web.Response:
        """Who is signed in. Raises Unauthenticated."""
        return self._said(self._calls.metadata(request))

    async def sign_out(self, request: web.Request) -> web.Response:
        """Whoever it was. What the browser kept of pages goes as well."""
        response = web.Response(status=204, headers=PRIVATE)
        response.headers[hdrs.SET_COOKIE] = self._calls.cookie(request).signed_out()
        return response

    def _said(self, shown: Any) -> web.Response:
        resident = self._callers.resident(shown)
        document = {
            "account": resident.account,
            "tenant": resident.tenant,
            "unit": self._unit_id,
            "expires": self._callers.expiry(shown),  # Unix seconds
        }
        return web.Response(body=dumped(document), content_type="application/json", headers=PRIVATE)
