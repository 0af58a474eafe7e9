"""OncePerAddress: what strangers do is logged in one short line per network and minute.

Addresses are personal data, so a line names the network: /24 for IPv4, /48 for IPv6. What came in
between is counted, and told with the next line. So many networks are told apart at a time; beyond
them there is one line for all others.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable

EVERY_S = 60.0
MOST = 1_000
OTHERS = "other addresses"


class OncePerAddress:
    """Not for several threads at once."""

    def __init__(self, log: logging.Logger, *, clock: Callable[[], float]) -> None:
        """clock: monotonic s."""
        self._log = log
        self._clock = clock
        self._kept: dict[str, tuple[float, int]] = {}  # by network: told when, held back since

    def warn(self, group: str, what: str, count: int = 1) -> None:
        """group: an address, or an IPv6 network; what: plural; count: of them."""
        network, now = network_of(group), self._clock()
        if network not in self._kept and len(self._kept) >= MOST:
            self._kept = {k: v for k, v in self._kept.items() if now - v[0] < EVERY_S}
            if len(self._kept) >= MOST:
                network = OTHERS
        told, held = self._kept.get(network, (now - EVERY_S, 0))
        if now - told < EVERY_S:
            self._kept[network] = told, held + count
            return
        self._kept[network] = now, 0
        before = f" ({held} before that were not told)" if held else ""
        self._log.warning("%s: %d %s%s", network, count, what, before)


def network_of(group: str) -> str:
    """As logs name it.

    >>> network_of("198.51.100.7"), network_of("2001:db8:1:2::/64")
    ('198.51.100.0/24', '2001:db8:1::/48')
    """
    address = ipaddress.ip_address(group.partition("/")[0])
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))
