"""How much mail one network may bring, before any of it is looked at. Pure; times are seconds.

Networks are single addresses of IPv4 and /64 of IPv6. Those of trusted relays bring what
many others send, and have no limit of their own but that of all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from control_plane.errors import InvalidInput
from control_plane.quotas.token_buckets import Rate, TokenBuckets

Network: TypeAlias = IPv4Network | IPv6Network
MOST_NETWORKS = 10_000  # that are remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpLimits:
    """connections: at once, of all; of_network: of one network. mails: of a network, from when on
    it is told to come again later; misses: recipients of which none was there. max_bytes: of a
    mail; idle_s: until the next command, and for the whole of a mail; commands: of a connection;
    take_s: for whoever takes a mail."""

    connections: int = 200
    of_network: int = 10
    mails: Rate = Rate(per_s=1.0, burst=100.0)  # noqa: RUF009  # frozen
    misses: Rate = Rate(per_s=0.1, burst=30.0)  # noqa: RUF009
    max_bytes: int = 1_500_000
    idle_s: float = 120.0
    commands: int = 1_000
    take_s: float = 60.0


class NetworkCounts:
    """Of one server. trusted: networks of relays."""

    def __init__(self, limits: SmtpLimits, trusted: Sequence[Network] = ()) -> None:
        self._limits = limits
        self._trusted = tuple(trusted)
        self._open: Counter[str] = Counter()
        self._mails = TokenBuckets(limits.mails, most_keys=MOST_NETWORKS)
        self._misses = TokenBuckets(limits.misses, most_keys=MOST_NETWORKS)

    @property
    def connections(self) -> int:
        return self._open.total()

    def enter(self, peer: str) -> bool:
        """A connection begins; False: there are too many already, and it was not counted."""
        if self.connections >= self._limits.connections:
            return False
        network = network_of(peer)
        if self._open[network] >= self._limits.of_network and not self.is_trusted(peer):
            return False
        self._open[network] += 1
        return True

    def leave(self, peer: str) -> None:
        """One that was counted has ended."""
        network = network_of(peer)
        self._open[network] -= 1
        if self._open[network] <= 0:
            del self._open[network]

    def mail_waits_s(self, peer: str, now_s: float) -> float:
        """A mail is brought; above 0: for how long no more is taken from there."""
        return 0.0 if self.is_trusted(peer) else self._mails.take(network_of(peer), now_s)

    def miss_waits_s(self, peer: str, now_s: float) -> float:
        """A recipient is asked for, and counts as one who is not there until `found`, so that many
        at once are counted like others. Above 0: for how long nobody else is asked for."""
        return 0.0 if self.is_trusted(peer) else self._misses.take(network_of(peer), now_s)

    def found(self, peer: str, now_s: float) -> None:
        """The recipient was there, or nobody knows."""
        if not self.is_trusted(peer):
            self._misses.take(network_of(peer), now_s, -1.0)

    def is_trusted(self, peer: str) -> bool:
        """Whether it is a relay that is believed."""
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in one for one in self._trusted)


def network_of(peer: str) -> str:
    """What is counted together with an address; of what is none, itself.

    >>> network_of("192.0.2.7"), network_of("2001:db8:1:2:3::4")
    ('192.0.2.7', '2001:db8:1:2::/64')
    """
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((int(address), 64), strict=False))
    return str(address)


def read_networks(text: str, field: str) -> tuple[Network, ...]:
    """Addresses and networks between commas. Raises InvalidInput naming `field`."""
    found: list[Network] = []
    for part in (one.strip() for one in text.split(",")):
        if not part:
            continue
        try:
            found.append(ip_network(part))
        except ValueError as error:
            raise InvalidInput(
                field, f"{field}: {part} is no address or network, such as 192.0.2.0/24"
            ) from error
    return tuple(found)
