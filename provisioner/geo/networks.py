"""Networks: from a stretch of addresses to the widest network in it around one of them. Pure."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from provisioner.geo.address import Address


def widest_network(address: Address, first: int, last: int) -> str:
    """The widest network that holds the address and no number below `first` or above `last`, in
    CIDR notation.

    >>> widest_network(Address(4, 0x0A000005), 0x0A000004, 0x0A00000F)
    '10.0.0.4/30'
    """
    version, number = address
    bits = 32 if version == 4 else 128
    host = 0
    while host < bits:
        wider = host + 1
        low = number >> wider << wider
        if low < first or low + (1 << wider) - 1 > last:
            break
        host = wider
    base = number >> host << host
    if version == 4:
        return str(IPv4Network((base, bits - host)))
    return str(IPv6Network((base, bits - host)))
