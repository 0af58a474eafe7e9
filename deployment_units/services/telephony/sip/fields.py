"""Header fields of SIP as they are read before anything acts on them. Pure.

`name_addr` reads From, To, Contact, Record-Route and P-Asserted-Identity, `via` a Via, `uri` a URI,
each by RFC 3261's grammar as far as it matters here; what does not fit is None. Values are bounded
by whoever cuts the message into fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+\Z")
_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]{2,45}\])"
)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
_USER: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/#]|%[0-9A-Fa-f]{2})+\Z")
_PARAMETER: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]|%[0-9A-Fa-f]{2})+\Z")
_TEL: Final = re.compile(r"\+?[0-9A-Fa-f*#().\-]+(?:;[A-Za-z0-9\-]+(?:=[^;<>\s]*)?)*\Z")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_DISPLAY: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~ \t]*\Z")
_WORD: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~()<>:\\\"/\[\]?{}]+(?:@[A-Za-z0-9\-.!%*_+`'~()<>:\\\"/\[\]?{}]+)?\Z")  # fmt: skip  # noqa: E501
_VIA: Final = re.compile(
    r"SIP\s*/\s*2\.0\s*/\s*([A-Za-z0-9\-.!%*_+`'~]+)\s+(\S+?)\s*(?::\s*(\d{1,5})\s*)?\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uri:
    """scheme in lower case. user: as it stands, percent-encoding undone; empty: it has none. port:
    0 where there is none. headers: whether it carries header fields (`?…`)."""

    scheme: str
    user: str
    host: str
    port: int
    headers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAddr:
    """text: the address alone, with what it is called, as it stood. uri_text: the URI. tag: the
    parameter, empty where there is none."""

    text: str
    uri_text: str
    uri: Uri
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """host, port: sent-by; 0: none. branch: empty where there is none."""

    transport: str
    host: str
    port: int
    branch: str


def uri(text: str) -> Uri | None:
    """A URI of any scheme; of sip, sips and tel what stands in it."""
    scheme, colon, rest = text.partition(":")
    if not colon or not _SCHEME.match(scheme) or not rest or re.search(r"[\s<>\"]", text):
        return None
    scheme = scheme.lower()
    if scheme == "tel":
        if not _TEL.match(rest):
            return None
        return Uri(scheme=scheme, user=rest.partition(";")[0], host="", port=0, headers=False)
    if scheme == "urn":  # an emergency service, RFC 5031: what is dialled is the whole of it
        return Uri(scheme=scheme, user=text, host="", port=0, headers=False)
    if scheme not in ("sip", "sips"):
        return Uri(scheme=scheme, user="", host="", port=0, headers=False)
    address, question, _ = rest.partition("?") if "@" not in rest else _split(rest)
    user, at, where = address.rpartition("@")
    if at and not _USER.match(user.partition(":")[0]):
        return None
    host_port, *parameters = where.split(";")
    host = _HOST.match(host_port)
    if host is None:
        return None
    left = host_port[host.end() :]
    if left and not re.match(r":\d{1,5}\Z", left):
        return None
    for one in parameters:
        name, equals, value = one.partition("=")
        if not _PARAMETER.match(name) or (equals and not _PARAMETER.match(value)):
            return None
    port = int(left[1:]) if left else 0
    if port > 65_535:
        return None
    name_part = user.partition(":")[0]
    return Uri(
        scheme=scheme, user=unquote(name_part, encoding="latin-1"), host=host[0], port=port,
        headers=bool(question),
    )  # fmt: skip


def _split(rest: str) -> tuple[str, str, str]:
    """Behind the `@`, a `?` begins header fields; before it, it is of the user."""
    user, _, where = rest.partition("@")
    where, question, headers = where.partition("?")
    return f"{user}@{where}", question, headers


def name_addr(text: str) -> NameAddr | None:
    """`"Name" <URI>;parameters`, `Name <URI>` or a bare URI, whose parameters are the field's."""
    text = text.strip()
    quoted = _QUOTED.match(text)
    if quoted is not None or text.startswith('"'):
        if quoted is None:
            return None
        before, rest = quoted[0], text[quoted.end() :].lstrip()
        if not rest.startswith("<"):
            return None
    else:
        before, bracket, rest = text.partition("<")
        if not bracket:
            return _bare(text)
        if not _DISPLAY.match(before):
            return None
        before, rest = before.strip(), f"<{rest}"
    inside, closed, after = rest[1:].partition(">")
    read = uri(inside)
    parameters = _parameters(after)
    if not closed or read is None or parameters is None:
        return None
    shown = f"{before} <{inside}>" if before else f"<{inside}>"
    return NameAddr(text=shown, uri_text=inside, uri=read, tag=parameters.get("tag", ""))


def _bare(text: str) -> NameAddr | None:
    address, _, after = text.partition(";")
    if "," in address or "?" in address:  # RFC 3261, 20: these need the brackets
        return None
    read, parameters = uri(address.strip()), _parameters(f";{after}" if after else "")
    if read is None or parameters is None:
        return None
    return NameAddr(
        text=f"<{address.strip()}>", uri_text=address.strip(), uri=read,
        tag=parameters.get("tag", ""),
    )  # fmt: skip


def _parameters(text: str) -> dict[str, str] | None:
    """`;name=value;name…` by name in lower case; None: it is none of that."""
    found: dict[str, str] = {}
    text = text.strip()
    if not text:
        return found
    if not text.startswith(";"):
        return None
    for one in split_outside_quotes(text[1:], ";"):
        name, equals, value = one.partition("=")
        name, value = name.strip().lower(), value.strip()
        if not TOKEN.match(name) or (equals and not value):
            return None
        if equals and not (
            TOKEN.match(value) or _QUOTED.fullmatch(value) or _HOST.fullmatch(value)
        ):
            return None
        found.setdefault(name, value)
    return found


def split_outside_quotes(text: str, mark: str) -> list[str]:
    """The parts between marks that stand neither in quotes nor in brackets."""
    if mark not in text:
        return [text]
    if '"' not in text and "<" not in text:
        return text.split(mark)
    parts, start, quoted, depth, index = [], 0, False, 0, 0
    while index < len(text):
        char = text[index]
        if quoted:
            if char == "\\":
                index += 1
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char == "<":
            depth += 1
        elif char == ">":
            depth = max(0, depth - 1)
        elif char == mark and depth == 0:
            parts.append(text[start:index])
            start = index + 1
        index += 1
    parts.append(text[start:])
    return parts


def via(text: str) -> Via | None:
    """One Via. Its parameters may be quoted, but hold no comma: engines cut there."""
    if "," in text:
        return None
    head, *rest = split_outside_quotes(text, ";")
    read = _VIA.match(head.strip())
    parameters = _parameters(";" + ";".join(rest) if rest else "")
    if read is None or parameters is None or not _HOST.fullmatch(read[2]):
        return None
    port = int(read[3]) if read[3] else 0
    if port > 65_535:
        return None
    return Via(
        transport=read[1].upper(), host=read[2], port=port, branch=parameters.get("branch", "")
    )


def is_call_id(text: str) -> bool:
    """A word, or two with an @ between."""
    return bool(_WORD.match(text))
