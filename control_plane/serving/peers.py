"""Who is calling from where: the peer's address, and how far forwarded ones are believed.

The address of the connection counts, unless it belongs to a trusted proxy: then the
right-most hop of `x-forwarded-for` that is not a trusted proxy itself. Everything to the
left of that hop could have been written by the caller and is never looked at.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import unquote

from control_plane.errors import InvalidInput
from control_plane.serving.calls import Metadata

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """CIDR blocks or single addresses. Raises InvalidInput naming the one that is neither."""
    networks: list[Network] = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text, strict=False))
        except ValueError as error:
            raise InvalidInput(
                "trusted_proxies", f"{text!r} is not an address or CIDR block"
            ) from error
    return tuple(networks)


def peer_address(peer: str) -> str | None:
    """The address in gRPC's peer string (ipv4:1.2.3.4:5, ipv6:[::1]:5, percent-encoded or
    not); None for anything else, a Unix socket for example.

    >>> peer_address("ipv6:%5B2001:db8::1%5D:4711")
    '2001:db8::1'
    """
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    host = unquote(rest).rpartition(":")[0].strip("[]")
    return host.partition("%")[0] or None


class Proxies:
    """The proxies that may say on whose behalf they call."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def is_trusted(self, address: str) -> bool:
        """Whether this address is one of them; no for what is not an address."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed.version == n.version and parsed in n for n in self._trusted)

    def client_address(self, peer: str, metadata: Metadata) -> str | None:
        """The address that counts for a call; None: unknown (a Unix socket)."""
        address = peer_address(peer)
        if not self._trusted or (address is not None and not self.is_trusted(address)):
            return address
        if address is None:
            return None
        hops: list[str] = []
        for key, value in metadata:
            if key == "x-forwarded-for" and isinstance(value, str):
                hops += [hop.strip() for hop in value.split(",")]
        for hop in reversed(hops):
            bare = hop_address(hop)
            if bare is None:
                return address  # a proxy of ours wrote nonsense: stay with what we know
            if not self.is_trusted(bare):
                return bare
            address = bare
        return address


def hop_address(hop: str) -> str | None:
    """One entry of x-forwarded-for without port, brackets and zone; None when it is no
    address."""
    text = hop
    if text.startswith("["):
        text, _, rest = text[1:].partition("]")
        if rest and not (rest[0] == ":" and rest[1:].isdigit()):
            return None
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    text = text.partition("%")[0]  # a zone means something on the proxy alone
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return None
    return text
