"""Who is calling from where: the peer's address, and how far forwarded ones are believed.

The address of the connection counts, unless it belongs to a trusted proxy: then the
right-most hop of `x-forwarded-for` that is not a trusted proxy itself. Everything to the
left of that hop could have been written by the caller and is never looked at. Lines of the
header are one list, and empty elements of it are nothing (RFC 9110, sections 5.3 and 5.6.1).
"""

from __future__ import annotations

import ipaddress
import logging
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import unquote

from control_plane.client_address import ClientAddress
from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from control_plane.serving.calls import Metadata
from control_plane.serving.connection_limits import group_of

log = logging.getLogger(__name__)

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

FIELD = "trusted_proxies"
HEADER = "x-forwarded-for"
MOST_HOPS = 100  # looked at, from the right, empty elements included
MOST_CHARACTERS = 128  # of a hop: an address, a zone, brackets, quotes and a port
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_LEAST_COMPATIBLE = 1 << 24  # smaller numbers, such as ::1, are IPv6's own
_BLANKS = " \t"


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """CIDR blocks or single addresses, those that overlap joined. IPv4 networks in their
    IPv4-mapped form become IPv4 ones; 6to4 and NAT64 ones are IPv6 networks like any other.

    Raises InvalidInput naming the one that is neither, or that no connection could be from.
    What trusts more than it may be meant to is logged.
    """
    v4: list[ipaddress.IPv4Network] = []
    v6: list[ipaddress.IPv6Network] = []
    for text in texts:
        network = _network(text)
        if isinstance(network, ipaddress.IPv4Network):
            v4.append(network)
        else:
            v6.append(network)
    networks: tuple[Network, ...] = (
        *ipaddress.collapse_addresses(v4),
        *ipaddress.collapse_addresses(v6),
    )
    for network in networks:
        if network.prefixlen == 0:
            log.warning(
                "trusted_proxies covers %s, every IPv%d address: whoever can connect can say "
                "that it calls for any address; list the proxies alone",
                network,
                network.version,
            )
    return networks


def _network(text: str) -> Network:
    stripped = text.strip()
    if "%" in stripped:
        raise InvalidInput(
            FIELD, f"{quoted(text)} has a zone, which no caller's address has here; leave it out"
        )
    try:
        network = ipaddress.ip_network(stripped, strict=False)
        exact = ipaddress.ip_interface(stripped).ip == network.network_address
    except ValueError as error:
        raise InvalidInput(FIELD, f"{quoted(text)} is not an address or CIDR block") from error
    if not exact:
        log.warning("trusted_proxies: %s is read as %s, all of it", stripped, network)
    if isinstance(network, ipaddress.IPv4Network):
        return network
    if network.subnet_of(_MAPPED):
        inner = int(network.network_address) & 0xFFFFFFFF
        return ipaddress.IPv4Network((inner, network.prefixlen - 96))
    if network.prefixlen and network.supernet_of(_MAPPED):
        raise InvalidInput(
            FIELD,
            f"{quoted(text)} covers all IPv4 addresses in their mapped form, and more; give IPv4 "
            "networks as such (10.0.0.0/8, or 0.0.0.0/0 for all), IPv6 ones beside them",
        )
    if network.subnet_of(_COMPATIBLE) and int(network.network_address) >= _LEAST_COMPATIBLE:
        inner_text = ipaddress.IPv4Address(int(network.network_address))
        raise InvalidInput(
            FIELD,
            f"{quoted(text)} is an IPv4-compatible IPv6 address, and no connection comes from one; "
            f"give {inner_text}/{network.prefixlen - 96}",
        )
    return network


@lru_cache(maxsize=16_384)  # the calls of one connection have one peer
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


@lru_cache(maxsize=16_384)
def peer_end(peer: str) -> tuple[str, int] | None:
    """Address and port of gRPC's peer string; None for what has none."""
    address, port = peer_address(peer), peer.rpartition(":")[2]
    return None if address is None or not port.isdecimal() else (address, int(port))


@lru_cache(maxsize=16_384)
def peer_group(peer: str) -> str:
    """Whose connection it is, as limits count them (`group_of`); empty for what has no address."""
    address = peer_address(peer)
    return "" if address is None else group_of(address)


class Proxies:
    """The proxies that may say on whose behalf they call; `trusted` as from parse_networks."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        ordered = sorted(trusted, key=lambda one: int(one.network_address))
        self._any = bool(ordered)
        self._told = False  # that a header named proxies alone
        # By version: first and last numbers of networks that do not overlap, ascending.
        self._firsts = {
            version: [int(n.network_address) for n in ordered if n.version == version]
            for version in (4, 6)
        }
        self._lasts = {
            version: [int(n.broadcast_address) for n in ordered if n.version == version]
            for version in (4, 6)
        }

    def is_trusted(self, address: str) -> bool:
        """Whether this address is one of them; no for what is not an address."""
        parsed = _read(address)
        return parsed is not None and self._covers(parsed)

    def client_address(self, peer: str, metadata: Metadata) -> str | None:
        """The address that counts for a call; None: unknown (a Unix socket).

        Where nothing but trusted proxies was passed through, the left-most of them that was
        looked at; a hop that is no client's address ends the search at the proxy that wrote it.
        """
        address = peer_address(peer)
        if not self._any or address is None:
            return address
        parsed = _read(address)
        if parsed is None:
            return address
        if not self._covers(parsed):
            return str(parsed)
        passed = False
        for hop in _hops(metadata):
            found = _hop(hop)
            if found is None:
                return str(parsed)  # a proxy of ours wrote nonsense: stay with what we know
            if not self._covers(found):
                return str(found)
            parsed, passed = found, True
        if passed and not self._told:
            self._told = True
            log.warning(
                "x-forwarded-for names trusted proxies alone, such as %s, which counts as the "
                "client now: either a proxy is a client too, or lines of the header were lost on "
                "the way (of several, gRPC shows the last to --transport grpcio): have the "
                "proxies join them into one line",
                ClientAddress(str(parsed)),
            )
        return str(parsed)

    def _covers(self, address: Address) -> bool:
        number = int(address)
        at = bisect_right(self._firsts[address.version], number) - 1
        return at >= 0 and number <= self._lasts[address.version][at]


def hop_address(hop: str) -> str | None:
    """One entry of x-forwarded-for without quotes, port, brackets and zone, an IPv4-mapped
    address as IPv4; None when it is no address a client could have.

    >>> hop_address('"[::ffff:192.0.2.7]:4711"')
    '192.0.2.7'
    """
    found = _hop(hop)
    return None if found is None else str(found)


def _hops(metadata: Metadata) -> Iterator[str]:
    """The elements of the header that are not empty, from the right. Never copies what it
    does not come to: most of it may be a caller's own."""
    looked_at = 0
    for key, value in reversed(metadata):
        if key != HEADER:
            continue
        # Bytes are what a transport could not read as UTF-8; the right end may be sound.
        line = value if isinstance(value, str) else value.decode("latin-1")
        end = len(line)
        while end >= 0:
            if looked_at == MOST_HOPS:
                return
            looked_at += 1
            comma = line.rfind(",", 0, end)
            hop = line[comma + 1 : end].strip(_BLANKS)
            if hop:
                yield hop
            end = comma


def _hop(hop: str) -> Address | None:
    if len(hop) > MOST_CHARACTERS:
        return None
    text = hop
    if len(text) > 2 and text[0] == text[-1] == '"':
        text = text[1:-1].strip(_BLANKS)
    if text.startswith("["):
        text, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in text or (rest and not _is_port(rest)):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(f":{port}"):
            return None
    if "%" in text:
        text, _, zone = text.partition("%")  # a zone means something on the proxy alone
        if not zone or ":" not in text:
            return None
    parsed = _read(text)
    if parsed is None or parsed.is_unspecified or parsed.is_multicast:
        return None
    return None if parsed == _BROADCAST else parsed


_BROADCAST = ipaddress.IPv4Address("255.255.255.255")


def _is_port(text: str) -> bool:
    """Whether it is a colon and a port."""
    digits = text[1:]
    return text[0] == ":" and len(digits) <= 5 and digits.isascii() and digits.isdigit()


def _read(text: str) -> Address | None:
    """The address, an IPv4-mapped one as IPv4; None for what is none."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
