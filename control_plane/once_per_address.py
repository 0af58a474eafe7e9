"""OncePerAddress: what strangers do is logged in one short line per network and minute.

Networks are /24 for IPv4 and /48 for IPv6. A line names as much of the address as logs may show
(`ClientAddress`). What came in between from its network is counted, and told with the next line.
So many networks are told apart at a time; beyond them there is one line for all others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from control_plane.client_address import ClientAddress, truncate_address

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
        network, now = truncate_address(group), self._clock()
        shown: object = ClientAddress(group)
        if network not in self._kept and len(self._kept) >= MOST:
            self._kept = {k: v for k, v in self._kept.items() if now - v[0] < EVERY_S}
            if len(self._kept) >= MOST:
                network = shown = OTHERS
        told, held = self._kept.get(network, (now - EVERY_S, 0))
        if now - told < EVERY_S:
            self._kept[network] = told, held + count
            return
        self._kept[network] = now, 0
        before = f" ({held} before that were not told)" if held else ""
        self._log.warning("%s: %d %s%s", shown, count, what, before)
