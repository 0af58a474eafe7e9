"""The pages behind buttons in mail: /a/TOKEN shows what would be pressed, and a press of its button
presses.

Opening a page changes nothing, whoever opens it: scanners of mail follow every link, and some run
its scripts; none posts a form. There is no script on these pages, and no session is asked for: the
token says who may press what, and is nobody else's to know. So it is kept from logs and from where
a page leads (no-referrer), and neither browsers nor proxies keep the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Protocol
from urllib.parse import parse_qsl

from aiohttp import web

from control_plane.errors import InvalidInput
from control_plane.http_serving.request_parts import read_body
from deployment_units.services.web.security_headers import POLICY_OF_FORM

MOST_BYTES: Final = 64 << 10  # of what is filled in
MOST_FIELDS: Final = 500
MOST_TOKEN: Final = 1_024  # characters
_FORM: Final = "application/x-www-form-urlencoded"
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">
<title>{title}</title>
<link rel="stylesheet" href="/client/client.css"><link rel="stylesheet" href="/client/cards.css">
</head><body><main class="sign-in"><div class="panel card">
<h1>{title}</h1>
{body}</div></main></body></html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationPage:
    """What somebody sees. title: a text; body: HTML of elements, safe as it is; status: of HTTP,
    such as 410 of a link that has expired."""

    title: str
    body: str
    status: int = 200


class Confirmations(Protocol):
    """What tokens stand for. The answers to one that was not made here and to one of which nothing
    is left are alike."""

    async def show(self, token: str, *, address: str) -> ConfirmationPage:
        """What would be pressed, with a form that is posted to the address. Changes nothing."""
        ...

    async def press(
        self, token: str, fields: Mapping[str, Sequence[str]], *, address: str
    ) -> ConfirmationPage:
        """What came of the press, with what was filled in, by the form's names. Judged like any
        other press; where something is filled in wrongly, the form again."""
        ...


class ConfirmationPages:
    """The handlers of /a/TOKEN."""

    def __init__(self, confirmations: Confirmations) -> None:
        self._confirmations = confirmations

    async def show(self, request: web.Request) -> web.Response:
        """Raises HTTPNotFound for what can be no token."""
        token = token_in(request)
        return page_response(await self._confirmations.show(token, address=f"/a/{token}"))

    async def press(self, request: web.Request) -> web.Response:
        """Raises as `show` and `read_body`, and InvalidInput."""
        token = token_in(request)
        body = await read_body(request, MOST_BYTES, _FORM)
        fields: dict[str, list[str]] = {}
        try:
            pairs = parse_qsl(
                body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
            )
        except ValueError as error:  # UnicodeDecodeError too
            raise InvalidInput("body", "the form cannot be read; open the link again") from error
        for name, value in pairs:
            fields.setdefault(name, []).append(value)
        return page_response(await self._confirmations.press(token, fields, address=f"/a/{token}"))


def token_in(request: web.Request) -> str:
    """Of the path. Raises HTTPNotFound for what can be no token."""
    token = request.match_info["token"]
    plain = token.isascii() and token.replace("-", "").replace("_", "").isalnum()
    if not plain or len(token) > MOST_TOKEN:
        raise web.HTTPNotFound(text="there is nothing here; was the link cut short?")
    return token


def page_response(page: ConfirmationPage) -> web.Response:
    """A page as it is sent: kept by no cache, with no script."""
    text = _PAGE.format(title=escape(page.title), body=page.body)
    return web.Response(
        text=text,
        status=page.status,
        content_type="text/html",
        charset="utf-8",
        headers={"Cache-Control": "no-store", "Content-Security-Policy": POLICY_OF_FORM},
    )
