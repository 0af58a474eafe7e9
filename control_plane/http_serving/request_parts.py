"""Parts of a request that is to become a gRPC call: its headers, its body, and what means nothing
here and is therefore refused instead of passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import hdrs, web

from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from control_plane.serving.calls import Metadata

PASSED_ON: Final = (
    "authorization", "homeport-client-key", "x-forwarded-for", "traceparent", "tracestate",
)  # fmt: skip
"""Headers that the method is given as metadata; all others are HTTP's own."""
CHARSETS: Final = ("", "utf-8", "utf8", "us-ascii")  # that JSON can be said in (RFC 8259, 8.1)
_PRINTABLE = re.compile(r"[\x20-\x7e\t]*")


def metadata_of_request(request: web.BaseRequest) -> Metadata:
    """What the method is given. Raises InvalidInput for a value that metadata cannot have."""
    found = []
    for name, value in request.headers.items():
        lower = name.lower()
        if lower in PASSED_ON:
            _check(lower, value)
            found.append((lower, value))
    return tuple(found)


def one_header(request: web.BaseRequest, name: str) -> str:
    """Its value; empty: it is not there. Raises InvalidInput where it is there more than once."""
    values = request.headers.getall(name, [])
    if len(values) > 1:
        raise InvalidInput(name.lower(), f"{name.lower()} is there more than once; send one")
    for value in values:
        _check(name.lower(), value)
    return values[0] if values else ""


def read_query(query: str, allowed: Sequence[str]) -> Mapping[str, bool]:
    """What a query says of these fields, which are true or false. Raises InvalidInput for anything
    else: what is in a URL ends up in logs."""
    found: dict[str, bool] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        field = next((one for one in allowed if name in (one, camel(one))), "")
        if not field:
            taken = ", ".join(map(camel, allowed)) or "none"
            raise InvalidInput(
                "query",
                f"the query parameter {quoted(name[:80])} is not taken, of this path: {taken}; say "
                "it in the body, a ticket in the header homeport-ticket",
            )
        if field in found or value not in ("true", "false"):
            raise InvalidInput(field, f"{camel(field)} is to be true or false, once")
        found[field] = value == "true"
    return found


def camel(name: str) -> str:
    """As JSON names a field.

    >>> camel("without_tickets")
    'withoutTickets'
    """
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


def refuse_conditions(request: web.BaseRequest) -> None:
    """Raises HTTPPreconditionFailed where the caller goes by an entity tag or a date: nothing here
    has one (RFC 9110, 13.1)."""
    tag = request.headers.get(hdrs.IF_MATCH, "*").strip()
    if tag != "*" or hdrs.IF_UNMODIFIED_SINCE in request.headers:
        raise web.HTTPPreconditionFailed(
            text="assignments have no entity tags and no dates here; leave if-match and "
            "if-unmodified-since out"
        )


async def read_body(request: web.Request, most: int, media_type: str) -> bytes:
    """All of it. most: bytes, 0: there is to be none. Raises HTTPRequestEntityTooLarge,
    HTTPUnsupportedMediaType, InvalidInput, and what a broken body raises."""
    if not request.body_exists:
        return b""
    if not most:
        raise InvalidInput("body", f"{request.method} takes no body here; leave it out")
    check_media_type(request, media_type)
    too_large = web.HTTPRequestEntityTooLarge(most, text=f"the body is larger than {most:,} bytes")
    if (request.content_length or 0) > most:
        raise too_large
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > most:
            raise too_large
    return bytes(body)


def check_media_type(request: web.Request, wanted: str) -> None:
    """Raises HTTPUnsupportedMediaType. A page of another site can send some types without being
    asked whether it may, and `wanted` is none of them."""
    said = one_header(request, hdrs.CONTENT_TYPE)
    kind, *parameters = [part.strip().lower() for part in said.split(";")]
    charset = next(
        (one.partition("=")[2].strip('" ') for one in parameters if one.startswith("charset=")), ""
    )
    if kind != wanted or charset not in CHARSETS:
        raise web.HTTPUnsupportedMediaType(
            text=f"content-type {quoted(said[:100])} is not taken; send {wanted}, in UTF-8"
        )


def _check(name: str, value: str) -> None:
    if _PRINTABLE.fullmatch(value) is None:
        raise InvalidInput(name, f"{name} has characters in it that are not printable ASCII")
