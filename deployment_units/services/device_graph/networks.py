"""Whose networks addresses are, for bounds that one network must not go past however many
addresses it has: /48 of IPv6, which is what a site is given, and /24 of IPv4. Pure.
"""

from __future__ import annotations

from ipaddress import ip_network

_BITS = {4: 24, 6: 48}


def network_of(block: str) -> str:
    """Of an address, or a /64, as observations have it; what is neither is by itself.

    >>> network_of("2001:db8:0:1::/64"), network_of("192.0.2.1")
    ('2001:db8::/48', '192.0.2.0/24')
    """
    try:
        narrow = ip_network(block)
    except ValueError:
        return block
    bits = _BITS[narrow.version]
    return str(narrow.supernet(new_prefix=bits)) if narrow.prefixlen > bits else str(narrow)
