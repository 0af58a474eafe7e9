"""ClientAddress: an address as it is logged. Addresses of clients are personal data.

Whoever logs one hands it to the logger as a `ClientAddress`; how much of it a line shows is the
formatter's business (`control_plane.telemetry.logs`), and whoever makes a text of it elsewhere
gets the network alone. Pure.
"""

from __future__ import annotations

import ipaddress
from enum import StrEnum

IPV4_BITS = 24
IPV6_BITS = 48
UNKNOWN = "?"
LEFT_OUT = "-"


class AddressDetail(StrEnum):
    """What logs show of clients' addresses."""

    TRUNCATED = "truncated"  # the network: /24 for IPv4, /48 for IPv6
    FULL = "full"
    NONE = "none"


class ClientAddress:
    """An address, or a network of one customer, as text; what is neither is never shown."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return truncate_address(self._text)

    def __repr__(self) -> str:
        return f"ClientAddress({truncate_address(self._text)!r})"

    def shown(self, detail: AddressDetail) -> str:
        """What a line says."""
        if detail is AddressDetail.NONE:
            return LEFT_OUT
        if detail is AddressDetail.TRUNCATED:
            return truncate_address(self._text)
        parsed = _network(self._text)
        if parsed is None:
            return UNKNOWN
        return str(parsed if parsed.num_addresses > 1 else parsed.network_address)


def truncate_address(text: str) -> str:
    """The network an address is in: /24 for IPv4 (mapped or not), /48 for IPv6, whatever zone or
    shorter network it has; "?" for anything else.

    >>> truncate_address("198.51.100.7"), truncate_address("2001:db8:1:2::/64")
    ('198.51.100.0/24', '2001:db8:1::/48')
    """
    parsed = _network(text)
    if parsed is None:
        return UNKNOWN
    bits = min(parsed.prefixlen, IPV4_BITS if parsed.version == 4 else IPV6_BITS)
    return str(parsed.supernet(new_prefix=bits))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """An address as a network of one, without its zone, and IPv4 where it is that inside."""
    host, _, bits = text.partition("/")
    host = host.partition("%")[0]
    try:
        network = ipaddress.ip_network(f"{host}/{bits}" if bits else host, strict=False)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        inner = network.network_address.ipv4_mapped
        if inner is not None:
            return ipaddress.IPv4Network((inner, network.prefixlen - 96), strict=False)
    return network
