"""Addresses: a text becomes the number that is looked up.

Strict literals only. Every IPv4 address inside an IPv6 one comes out as IPv4, because that
is where the client is: mapped and translated (RFC 4291, RFC 2765), compatible, 6to4
(RFC 3056), Teredo (RFC 4380, the client's address is stored inverted), NAT64 (RFC 6052,
RFC 8215) and ISATAP (RFC 5214). socket.inet_pton reads a literal ten times as fast as the
ipaddress module, and this runs for every client.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_network
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

from control_plane.errors import InvalidInput
from control_plane.printable import quoted

FIELD = "address"


class Address(NamedTuple):
    """version 4: number below 2**32; version 6: below 2**128, and not an IPv4 in disguise."""

    version: int
    number: int


class Scope(StrEnum):
    """What an address is good for. Only PUBLIC ones are in a geo database."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    SHARED = "shared (carrier NAT)"
    DOCUMENTATION = "documentation"
    RESERVED = "reserved"
    MULTICAST = "multicast"
    UNSPECIFIED = "unspecified"
    BROADCAST = "broadcast"


_NO_CLIENT = frozenset({Scope.MULTICAST, Scope.UNSPECIFIED, Scope.BROADCAST})

# After IANA's special-purpose registries (RFC 6890 and its updates). The first that matches
# counts. Of IPv6, only 2000::/3 is handed out.
_RANGES = [
    ("0.0.0.0/32", Scope.UNSPECIFIED),
    ("0.0.0.0/8", Scope.RESERVED),
    ("10.0.0.0/8", Scope.PRIVATE),
    ("100.64.0.0/10", Scope.SHARED),
    ("127.0.0.0/8", Scope.LOOPBACK),
    ("169.254.0.0/16", Scope.LINK_LOCAL),
    ("172.16.0.0/12", Scope.PRIVATE),
    ("192.0.0.0/24", Scope.RESERVED),
    ("192.0.2.0/24", Scope.DOCUMENTATION),
    ("192.168.0.0/16", Scope.PRIVATE),
    ("198.18.0.0/15", Scope.RESERVED),
    ("198.51.100.0/24", Scope.DOCUMENTATION),
    ("203.0.113.0/24", Scope.DOCUMENTATION),
    ("224.0.0.0/4", Scope.MULTICAST),
    ("255.255.255.255/32", Scope.BROADCAST),
    ("240.0.0.0/4", Scope.RESERVED),
    ("::/128", Scope.UNSPECIFIED),
    ("::1/128", Scope.LOOPBACK),
    ("2001:2::/48", Scope.RESERVED),
    ("2001:10::/28", Scope.RESERVED),
    ("2001:20::/28", Scope.RESERVED),
    ("2001:db8::/32", Scope.DOCUMENTATION),
    ("3fff::/20", Scope.DOCUMENTATION),
    ("fc00::/7", Scope.PRIVATE),
    ("fe80::/10", Scope.LINK_LOCAL),
    ("fec0::/10", Scope.PRIVATE),
    ("ff00::/8", Scope.MULTICAST),
    ("::/3", Scope.RESERVED),
    ("4000::/2", Scope.RESERVED),
    ("8000::/1", Scope.RESERVED),
]
_V4 = [
    (int(n.network_address), int(n.broadcast_address), scope)
    for n, scope in ((ip_network(text), scope) for text, scope in _RANGES)
    if n.version == 4
]
_V6 = [
    (int(n.network_address), int(n.broadcast_address), scope)
    for n, scope in ((ip_network(text), scope) for text, scope in _RANGES)
    if n.version == 6
]
# By first octet, those in which anything but PUBLIC occurs; most clients are in none.
_V4_BY_OCTET = {
    octet: [entry for entry in _V4 if entry[0] >> 24 <= octet <= entry[1] >> 24]
    for octet in range(256)
    if any(first >> 24 <= octet <= last >> 24 for first, last, _ in _V4)
}
_NOTHING_SPECIAL: list[tuple[int, int, Scope]] = []

# Their clients are located by the IPv4 address inside.
_FOR_IPV4 = [ip_network("2001::/32"), ip_network("2002::/16")]

_MAPPED, _TRANSLATED = 0xFFFF, 0xFFFF0000  # the first 96 bits
_NAT64 = 0x0064FF9B << 64
_NAT64_LOCAL = 0x0064FF9B0001  # the first 48 bits
ISATAP, ISATAP_MASK = 0x5EFE, 0xFDFFFFFF  # bits 64 to 95: 0000:5efe or 0200:5efe
# First 16 bits, from and before: no IPv4 address is inside these but by ISATAP.
PLAIN_IPV6 = 0x2003, 0x4000
_LOW_32 = 0xFFFFFFFF
_from_bytes = int.from_bytes
_tuple = tuple.__new__  # what Address(...) does, in half the time


def parse(text: str) -> Address:
    """Reads a literal. Raises InvalidInput that says what is wrong with it."""
    try:
        if ":" not in text:
            return _tuple(Address, (4, _from_bytes(inet_pton(AF_INET, text), "big")))
        number = _from_bytes(inet_pton(AF_INET6, text), "big")
    except (OSError, ValueError):  # UnicodeError and embedded NULs are ValueErrors
        raise InvalidInput(FIELD, _complaint(text)) from None
    # Nearly all IPv6 clients are in 2003::/16 or above, and not behind ISATAP.
    if 0x2003 <= number >> 112 < 0x4000 and number >> 32 & ISATAP_MASK != ISATAP:
        return _tuple(Address, (6, number))
    inner = embedded_ipv4(number)
    return Address(6, number) if inner is None else Address(4, inner)


def embedded_ipv4(number: int) -> int | None:
    """The IPv4 address for which an IPv6 one stands, or None."""
    top_96 = number >> 32
    if top_96 in (_MAPPED, _TRANSLATED, _NAT64):
        return number & _LOW_32
    if number >> 80 == _NAT64_LOCAL:
        if number & 0xFFFFFFFFFF == 0:
            # Prefixes of 48 bits put it around an octet of zeros (RFC 6052, section 2.2).
            return (number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF
        return number & _LOW_32
    if number >> 112 == 0x2002:
        return (number >> 80) & _LOW_32
    if number >> 96 == 0x20010000:
        return (number & _LOW_32) ^ _LOW_32
    if top_96 & ISATAP_MASK == ISATAP:
        # A private one says nothing of where its site is; the IPv6 prefix does.
        inner = number & _LOW_32
        return inner if scope_of(Address(4, inner)) is Scope.PUBLIC else None
    if top_96 == 0 and number > 0xFFFFFF:
        return number  # ::a.b.c.d; small numbers such as ::1 are IPv6's own
    return None


def scope_of(address: Address) -> Scope:
    """What the address is good for."""
    version, number = address
    if version == 4:
        table = _V4_BY_OCTET.get(number >> 24, _NOTHING_SPECIAL)
    elif number >> 125 == 1 and number >> 108 not in (0x20010, 0x3FFF0):
        return Scope.PUBLIC
    else:
        table = _V6
    for first, last, scope in table:
        if first <= number <= last:
            return scope
    return Scope.PUBLIC


def blocks_never_looked_up(version: int) -> list[tuple[int, int]]:
    """(first, last) of the blocks that are not public, or in IPv6 stand for IPv4: no lookup in
    a database is ever for them."""
    if version == 4:
        return [(first, last) for first, last, _ in _V4]
    for_ipv4 = [(int(n.network_address), int(n.broadcast_address)) for n in _FOR_IPV4]
    return [(first, last) for first, last, _ in _V6] + for_ipv4


def check_client(text: str, address: Address) -> Scope:
    """The scope, when it could be a client's. Raises InvalidInput for those that never are."""
    scope = scope_of(address)
    if scope in _NO_CLIENT:
        raise InvalidInput(
            FIELD, f"{text} is of the {scope} kind, which is no client's own; give the one it has"
        )
    return scope


def text_of(address: Address) -> str:
    """The address as people write it."""
    if address.version == 4:
        return str(IPv4Address(address.number))
    return str(IPv6Address(address.number))


def _complaint(text: str) -> str:
    shown = quoted(text)
    if not text:
        return "address is empty; leave it out to be located by the connection"
    if "/" in text:
        return f"address {shown} is a network; give one address"
    if "%" in text:
        return f"address {shown} has a zone; zones mean something only on their own machine"
    if text.startswith("[") or (text.count(":") == 1 and "." in text):
        return f"address {shown} has a port or brackets; give the address alone"
    parts = text.split(".")
    if len(parts) == 4 and any(p.isdigit() and len(p) > 1 and p[0] == "0" for p in parts):
        return f"address {shown} has leading zeros, which some read as octal; leave them out"
    return f"address {shown} is not an IPv4 or IPv6 address"
