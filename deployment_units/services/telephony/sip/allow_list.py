"""What a leg may contain, and nothing else leaves. Pure.

An engine keeps the state of calls; what it wants to send is written anew here: start line, Via,
From, To, Call-ID, CSeq and Contact, the routes of that same leg, and a body that `sdp` or a text
was made into. Whose addresses stand in From and To is a value of the leg (`LegNames`), made of the
two numbers it was given and never of the other leg; words behind a status are ours. A field that is
not on the list does not leave, whoever added it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deployment_units.services.telephony.sip.messages import Fault

ALLOWED_METHODS: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE"
REASONS: Final[Mapping[int, str]] = {
    100: "Trying", 180: "Ringing", 181: "Forwarded", 182: "Queued", 183: "Session Progress",
    200: "OK", 202: "Accepted",
    400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 408: "Request Timeout", 410: "Gone", 415: "Unsupported Media Type",
    416: "Unsupported URI Scheme", 420: "Bad Extension", 433: "Anonymity Disallowed",
    480: "Temporarily Unavailable", 481: "Call Does Not Exist", 482: "Loop Detected",
    483: "Too Many Hops", 484: "Address Incomplete", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 491: "Request Pending", 500: "Server Error",
    501: "Not Implemented", 503: "Service Unavailable", 504: "Server Timeout",
    505: "Version Not Supported", 600: "Busy Everywhere", 603: "Decline", 604: "Nowhere",
    606: "Not Acceptable",
}  # fmt: skip
# What of the far side's answers the near side is told as something else. Redirections would name
# who is called, challenges whose the far side is; neither is for the near side to act on.
_TOLD_AS: Final = {401: 503, 407: 503, 413: 488, 421: 488, 422: 488, 423: 503, 494: 503, 485: 404}
_CONTENT: Final = frozenset({"application/sdp", "text/plain"})
_PASSED: Final = frozenset(
    {"via", "max-forwards", "call-id", "cseq", "route", "record-route", "expires"}
)
_LISTS: Final = frozenset({"via", "route", "record-route"})
_SHOWN_AS: Final = {
    "via": "Via", "max-forwards": "Max-Forwards", "call-id": "Call-ID", "cseq": "CSeq",
    "route": "Route", "record-route": "Record-Route", "expires": "Expires",
}  # fmt: skip
_TAG: Final = re.compile(r";\s*tag=([A-Za-z0-9\-.!%*_+`'~]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LegNames:
    """Who is who on one leg. ours, theirs: name-addrs of the side that we stand for there, and of
    the other one; contact: the address at which we are reached. asserted: the URI that is shown as
    caller, for those who trust us; empty: none. anonymous: nobody is shown."""

    ours: str
    theirs: str
    contact: str
    asserted: str = ""
    anonymous: bool = False


def leg_b(target: str, shown: str | None, *, here: str, there: str) -> LegNames:
    """The leg to a target. target, shown: E.164; None: it sees an anonymous caller. here, there:
    host:port of ours and of the trunk."""
    theirs = f"<sip:{target}@{there};user=phone>"
    contact = f"<sip:{here}>"
    if shown is None:
        return LegNames(
            ours='"Anonymous" <sip:anonymous@anonymous.invalid>',
            theirs=theirs, contact=contact, anonymous=True,
        )  # fmt: skip
    ours = f"<sip:{shown}@{here};user=phone>"
    return LegNames(ours=ours, theirs=theirs, contact=contact, asserted=f"tel:{shown}")


def told(code: int) -> tuple[int, str]:
    """A status of the far side as the near one is told of it, in our own words."""
    if 300 <= code < 400:
        code = 480
    code = _TOLD_AS.get(code, code)
    if code not in REASONS:
        code = {1: 183, 2: 200, 4: 480, 5: 503, 6: 603}.get(code // 100, 503)
    return code, REASONS[code]


def written(message: str, names: LegNames) -> bytes | None:
    """What an engine wants to send on a leg, with what may be in it; None: it is no message.
    message: bytes as Latin-1."""
    head, _, body = message.partition("\r\n\r\n")
    start, *lines = head.split("\r\n")
    first, _, rest = start.partition(" ")
    is_response = first == "SIP/2.0"
    if is_response:
        code = int(rest[:3]) if rest[:3].isdigit() else 500
        start = f"SIP/2.0 {code} {REASONS.get(code, 'Other')}"
    out = [start]
    kind, once = "", set[str]()
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name in once:
            continue
        if name not in _LISTS:
            once.add(name)
        if name in ("from", "to"):
            # The side that sends a request is in its From, and in the From of its answers.
            mine = (name == "to") if is_response else (name == "from")
            tag = _TAG.search(value.rpartition(">")[2] or value)
            out.append(
                f"{'From' if name == 'from' else 'To'}: {names.ours if mine else names.theirs}"
                + (f";tag={tag[1]}" if tag else "")
            )
        elif name == "contact":
            out.append(f"Contact: {names.contact}")
        elif name in _PASSED:
            out.append(f"{_SHOWN_AS[name]}: {value}")
        elif name == "content-type":
            kind = value.partition(";")[0].strip().lower()
    if not is_response and first in ("INVITE", "MESSAGE"):
        if names.asserted:
            out.append(f"P-Asserted-Identity: <{names.asserted}>")
        if names.anonymous:
            out.append("Privacy: id")
    if first == "INVITE" or (is_response and out[0].startswith("SIP/2.0 2")):
        out.append(f"Allow: {ALLOWED_METHODS}")
    if kind not in _CONTENT:
        body = ""
    if body:
        charset = ";charset=utf-8" if kind == "text/plain" else ""
        out.append(f"Content-Type: {kind}{charset}")
    out.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*out, "", body]).encode("latin-1")


def refusal(
    fault: Fault, *, tag: str, source: tuple[str, int]
) -> tuple[bytes, tuple[str, int]] | None:
    """The answer to a fault and where it goes, without any state; None: it has none. tag: ours, for
    To. source: whence the request came, where answers go by RFC 3581."""
    fields = fault.fields
    if not fields:
        return None
    top = fields["via"][0]
    lines = [f"SIP/2.0 {fault.code} {REASONS[fault.code]}"]
    lines.append(f"Via: {received(top, source)}")
    lines += [f"Via: {one}" for one in fields["via"][1:]]
    lines.append(f"From: {fields['from'][0]}")
    to = fields["to"][0]
    lines.append(f"To: {to}" + ("" if _TAG.search(to) else f";tag={tag}"))
    lines.append(f"Call-ID: {fields['call-id'][0]}")
    lines.append(f"CSeq: {fields['cseq'][0]}")
    if fault.code == 405:
        lines.append(f"Allow: {ALLOWED_METHODS}")
    if fault.code == 420 and fault.supports:
        lines.append(f"Unsupported: {fault.supports}")
    elif fault.code == 415 and fault.supports:
        lines.append(fault.supports)
    lines += ["Content-Length: 0", "", ""]
    return "\r\n".join(lines).encode("latin-1"), source


def received(via: str, source: tuple[str, int]) -> str:
    """A Via with whence it really came (RFC 3261, 18.2.1, RFC 3581)."""
    parts = [one for one in via.split(";")
             if one.partition("=")[0].strip().lower() not in ("received", "rport")]  # fmt: skip
    return f"{';'.join(parts)};received={source[0]};rport={source[1]}"
