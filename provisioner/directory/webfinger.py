"""WebFinger (RFC 7033): what is asked of a resource, and the JRD that answers. Pure.

A resource that means nothing here, one that nobody has and one that the asker may not find are one
answer: not found. The links of a JRD may be narrowed by `rel`; everything else is always there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from control_plane.errors import InvalidInput
from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.handles import read_handle
from control_plane.identifiers.identifier import MAX_TEXT, Flaw, Identifier, IdentifierKind
from control_plane.identifiers.uris import read_uri
from provisioner.directory.public_hosts import HTTPS, PublicHost
from provisioner.directory.public_profiles import PublicProfile

PATH = "/.well-known/webfinger"
MEDIA_TYPE = "application/jrd+json"
PROFILE_PAGE = "http://webfinger.net/rel/profile-page"
VCARD = "describedby"  # IANA: what has information about the subject
NAME = "http://packetizer.com/ns/name"  # RFC 7033, 4.4.4.5 leaves properties to others
MOST_RELS = 32
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.")
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_FINDS = frozenset(
    {
        IdentifierKind.HANDLE,
        IdentifierKind.EMAIL,
        IdentifierKind.PHONE,
        IdentifierKind.SIP,
        IdentifierKind.SIPS,
        IdentifierKind.XMPP,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebFingerQuery:
    """rels: empty: all links."""

    resource: str
    rels: tuple[str, ...]


def read_query(query: str) -> WebFingerQuery:
    """What the query component of the request asks. A '+' is a plus: RFC 7033, 4.1 knows
    percent-encoding alone. Parameters that nobody has defined are passed over. Raises InvalidInput
    where `resource` is missing, there twice, or no URI (4.2)."""
    resources: list[str] = []
    rels: list[str] = []
    for pair in query.split("&"):
        name, separator, value = pair.partition("=")
        if name == "resource" and separator:
            resources.append(_decoded("resource", value))
        elif name == "rel" and separator:
            rels.append(_decoded("rel", value))
    if len(resources) != 1:
        raise InvalidInput("resource", "say one resource: a URI, percent-encoded")
    (resource,) = resources
    if len(resource) > MAX_TEXT or not _SCHEME.match(resource):
        raise InvalidInput("resource", "resource is no URI, such as acct:anna@talk.example")
    if len(rels) > MOST_RELS:
        raise InvalidInput("rel", f"rel is there more than {MOST_RELS} times")
    return WebFingerQuery(resource=resource, rels=tuple(rels))


def identifier_of(resource: str, own_hosts: Mapping[str, int]) -> Identifier | None:
    """Whose name a resource is: an account or the page of one at these hosts (A-labels, with the
    ports of their pages), a mail address, a number, a SIP or XMPP URI. None: it is nobody's
    here."""
    if resource[:8].lower() == "https://":
        return _of_page(resource, own_hosts)
    found = read_uri(resource, own_hosts=own_hosts)
    if isinstance(found, Flaw) or found.kind not in _FINDS:
        return None
    return found


def jrd(
    asked: WebFingerQuery,
    identifier: Identifier,
    profiles: Sequence[PublicProfile],
    at: PublicHost,
) -> dict[str, Any]:
    """The answer, as JSON has it (RFC 7033, 4.4). at: where it was asked."""
    host, pages = at.name, at.authority
    single = profiles[0] if len(profiles) == 1 else None
    accounts = [f"acct:{_user(one.handle)}@{host}" for one in profiles if one.handle]
    own = identifier.kind is IdentifierKind.HANDLE or (single is not None and single.handle != "")
    subject = accounts[0] if own and accounts else identifier.uri
    aliases: dict[str, None] = {}
    links = []
    for one in profiles:
        if one.handle:
            aliases[page_of(one.handle, pages)] = None
            aliases[f"acct:{_user(one.handle)}@{host}"] = None
            links += [
                {"rel": PROFILE_PAGE, "type": "text/html", "href": page_of(one.handle, pages)},
                {"rel": VCARD, "type": "text/vcard", "href": f"{page_of(one.handle, pages)}.vcf"},
            ]
        aliases.update(dict.fromkeys(seen.uri for seen in one.seen.identifiers))
    aliases.pop(subject, None)
    document: dict[str, Any] = {"subject": subject}
    if aliases:
        document["aliases"] = list(aliases)
    if single is not None and single.seen.name:
        document["properties"] = {NAME: single.seen.name}
    document["links"] = [link for link in links if not asked.rels or link["rel"] in asked.rels]
    return document


def page_of(handle: str, authority: str) -> str:
    """The address of a handle's page. authority: its host, with the port unless that is HTTPS's."""
    return f"https://{authority}/@{_user(handle)}"


def behind_sign(path: str) -> str | None:
    """What follows the sign in the path of a page; None: it is none. Encoders for one part of an
    address write the sign as %40."""
    for sign in ("/@", "/%40"):
        if path.startswith(sign):
            return path[len(sign) :]
    return None


def handle_in(segment: str) -> Identifier | None:
    """The handle that a segment of a path is, percent-encoded; None: it is none."""
    try:
        found = read_handle(unquote_to_bytes(segment).decode())
    except UnicodeDecodeError:
        return None
    return None if isinstance(found, Flaw) else found


def _user(handle: str) -> str:
    return quote(handle, safe="")


def _of_page(resource: str, own_hosts: Mapping[str, int]) -> Identifier | None:
    try:
        parts = urlsplit(resource)
        host, port = read_domain(parts.hostname or ""), parts.port
    except ValueError:
        return None
    if isinstance(host, Flaw) or host.normal not in own_hosts:
        return None
    if (port or HTTPS) not in (HTTPS, own_hosts[host.normal]):
        return None
    name = behind_sign(parts.path)
    if name is None or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return handle_in(name)


def _decoded(name: str, value: str) -> str:
    if _BAD_ESCAPE.search(value):
        raise InvalidInput(name, f"{name} has a '%' that no two hexadecimal digits follow")
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(name, f"{name} is not UTF-8 once it is percent-decoded") from error
