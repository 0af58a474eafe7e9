"""Which addresses a card may open: https, with a host that is shown beside the button.

An address is read the way browsers read it, or refused where they might read it otherwise: no
backslashes, no white space, no name or password in front of the host. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.identifier import Identifier
from control_plane.printable import printable, quoted

MAX_ADDRESS = 2_048  # characters
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_REFUSED = re.compile(r"[\s\\<>\"`{}|^\x00-\x20\x7f-\x9f]")
_KEPT = "/?#[]@!$&'()*+,;=:%~-._"  # as they are; all else outside ASCII is encoded


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAddress:
    """An address that may be opened."""

    url: str  # ASCII
    host: str  # for people, in ASCII: a domain in A-labels, or an IP address


def read_web_address(text: str) -> WebAddress | str:
    """The address, or why it is none that a card may open: a sentence."""
    if len(text) > MAX_ADDRESS:
        return f"it has {len(text):,} characters; an address has at most {MAX_ADDRESS:,}"
    found = _SCHEME.match(text)
    if found is None or found[1].lower() != "https":
        return f"{quoted(text)} does not begin with https://, and nothing else is opened"
    if printable(text) != text or (bad := _REFUSED.search(text)):
        what = quoted(bad[0]) if printable(text) == text and bad else "a control character"
        return f"{quoted(text)} holds {what}, which no address has; percent-encode it"
    if not text[found.end() :].startswith("//"):
        return f"{quoted(text)} names no host; write https://HOST/…"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return f"{quoted(text)} is no address: {error}"
    if "@" in parts.netloc:
        return (
            f"{quoted(text)} has a name before its host, which hides where it leads; leave it out"
        )
    shown = _host(host)
    if shown is None:
        return (
            f"{quoted(text)} has no host that others can reach; write a domain, such as "
            "www.example.org"
        )
    where = f"[{shown}]" if ":" in shown else shown
    rest = text[found.end() + 2 + len(parts.netloc) :]
    beside = "" if port in (None, 443) else f":{port}"
    return WebAddress(url=f"https://{where}{beside}{quote(rest, _KEPT)}", host=where + beside)


def _host(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    domain = read_domain(host)
    return domain.normal if isinstance(domain, Identifier) else None
