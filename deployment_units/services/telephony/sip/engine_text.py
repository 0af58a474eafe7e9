"""A message as an engine is given it: what was read, in one plain form and no more. Pure.

Names and addresses of From and To are left out; the leg has them (`allow_list.LegNames`). So an
engine keeps tags, ids, routes and bodies, and nothing that anybody wrote about who calls.
"""

from __future__ import annotations

import re

from deployment_units.services.telephony.sip.allow_list import received
from deployment_units.services.telephony.sip.fields import NameAddr, via
from deployment_units.services.telephony.sip.messages import Request, Response

_NOBODY = "<sip:leg@leg.invalid>"
_KEPT_BODIES = frozenset({"application/sdp"})
_TTL = re.compile(r";ttl=[^;?]*", re.IGNORECASE)


def of_request(request: Request, *, source: tuple[str, int]) -> str:
    """source: whence it came, where its answers go."""
    lines = [f"{request.method} sip:leg@leg.invalid SIP/2.0"]
    first, *rest = request.vias
    lines.append(f"Via: {received(_plain(first), source)}")
    lines += [f"Via: {_plain(one)}" for one in rest]
    lines += [f"Record-Route: {one}" for one in request.record_routes]
    lines.append(f"Max-Forwards: {request.max_forwards}")
    return _finished(
        lines, request.sender, request.to, request.call_id, f"{request.sequence} {request.method}",
        request.contact, request.content_type, request.body,
    )  # fmt: skip


def of_response(response: Response) -> str:
    """Without the words behind its code."""
    lines = [f"SIP/2.0 {response.code} -", f"Via: {_plain(response.via)}"]
    lines += [f"Record-Route: {one}" for one in response.record_routes]
    return _finished(
        lines, response.sender, response.to, response.call_id,
        f"{response.sequence} {response.method}",
        response.contact, response.content_type, response.body,
    )  # fmt: skip


def _finished(
    lines: list[str],
    sender: NameAddr,
    to: NameAddr,
    call_id: str,
    sequence: str,
    contact: NameAddr | None,
    kind: str,
    body: str,
) -> str:
    lines.append(f"From: {_NOBODY}" + (f";tag={sender.tag}" if sender.tag else ""))
    lines.append(f"To: {_NOBODY}" + (f";tag={to.tag}" if to.tag else ""))
    lines.append(f"Call-ID: {call_id}")
    lines.append(f"CSeq: {sequence}")
    if contact is not None:
        lines.append(f"Contact: <{_TTL.sub('', contact.uri_text)}>")
    if kind not in _KEPT_BODIES:
        body = ""
    if body:
        lines.append(f"Content-Type: {kind}")
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", body])


def _plain(text: str) -> str:
    """A Via without the spaces that RFC 3261 allows in it."""
    read = via(text)
    assert read is not None, "the message was checked"
    head = f"SIP/2.0/{read.transport} {read.host}" + (f":{read.port}" if read.port else "")
    _, semicolon, parameters = text.partition(";")
    return head + semicolon + re.sub(r"\s+", "", parameters)
