"""WastedCalls: which connections begin calls that come to nothing, and which addresses have many
such connections.

Pure. A call is wasted when its client gives it up as soon as it began, or when its first message
has not come although some time has passed and many later calls have begun: both, because a machine
that is busy may stand still for that time, and messages with it. What is heard of after all is not
counted any more. A connection may waste some, an address some more (nghttp2 counts resets like this
since CVE-2023-44487, nghttp2_option_set_stream_reset_rate_limit). An address that has wasted too
many is suspected for a while: those of its connections that have only ever wasted calls may waste
fewer. Each call that is answered makes up for one that was wasted, so that whoever asks twice and
takes the first answer (hedging) goes on at any rate; Envoy looks at the share of such calls as well
(overload.premature_reset_total_stream_count).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any, Final

from control_plane.serving.connection_limits import PROXY_SHARE
from control_plane.serving.peers import peer_address, peer_end, peer_group

LATER: Final = 32  # calls that begin before one without a message counts as wasted …
WAITED_S: Final = 0.05  # … which has waited for so long
RAPID_S: Final = 0.25  # a call that its client gives up so soon was not meant
SUSPICION_S: Final = 60.0


class Excess(Flag):
    """Who wastes more calls than they may: a connection, an address that is suspected now."""

    NONE = 0
    CONNECTION = auto()
    ADDRESS = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How many calls may be wasted: a bucket of `burst`, refilled at `per_s`."""

    burst: float
    per_s: float


OF_CONNECTION: Final = Allowance(burst=100, per_s=33)
OF_ADDRESS: Final = Allowance(burst=400, per_s=133)
OF_SUSPECT: Final = Allowance(burst=32, per_s=11)  # a silent connection of a suspected address


@dataclass(slots=True, eq=False)
class BegunCall:
    """A call whose first message has not come. peer: its connection, as gRPC writes it; since:
    monotonic s; heard: its message has come."""

    peer: str
    since: float
    counted: bool = False
    heard: bool = False


class WastedCalls:
    """Of one server. Times are monotonic seconds, and never go back. What it remembers of
    connections and addresses is bounded: those heard of last."""

    def __init__(
        self,
        *,
        is_proxy: Callable[[str], bool] = lambda address: False,
        waits: bool = True,
        of_connection: Allowance = OF_CONNECTION,
        of_address: Allowance = OF_ADDRESS,
        of_suspect: Allowance = OF_SUSPECT,
        most: int = 16_384,
    ) -> None:
        """is_proxy: whether an address is a trusted proxy's, which may waste as much as
        PROXY_SHARE addresses. waits: whether calls that wait for their message count, and not those
        alone that are given up. most: connections, and addresses, that are remembered."""
        self._is_proxy = is_proxy
        self._waits = waits
        self._of_connection = of_connection
        self._of_address = of_address
        self._of_suspect = of_suspect
        self._most = most
        self._waiting: dict[BegunCall, int] = {}  # by when it began, counted in calls
        self._begun = 0
        self._connections: dict[str, tuple[float, float]] = {}  # wasted calls, and when
        self._addresses: dict[str, tuple[float, float]] = {}
        self._suspected: dict[str, float] = {}  # until when
        self._heard: dict[tuple[str, int], None] = {}  # connections with a call that had a message

    def begin(self, peer: str, now: float) -> tuple[BegunCall, list[tuple[str, Excess]]]:
        """A call began. What comes back: the call, and the connections by whose calls too many are
        wasted by now, with who has."""
        call = BegunCall(peer, now)
        found: list[tuple[str, Excess]] = []
        if self._waits:
            self._begun += 1
            self._waiting[call] = self._begun
            while True:
                oldest = next(iter(self._waiting))
                if self._waiting[oldest] > self._begun - LATER or now - oldest.since < WAITED_S:
                    break
                del self._waiting[oldest]
                oldest.counted = True
                if excess := self._spend(oldest.peer, now):
                    found.append((oldest.peer, excess))
        return call, found

    def heard(self, call: BegunCall) -> None:
        """Its first message came."""
        self._waiting.pop(call, None)
        call.heard = True
        if call.counted:
            call.counted = False
            self._make_up(call)
        end = peer_end(call.peer)
        if end is not None:
            self._heard.pop(end, None)
            self._heard[end] = None
            _bound(self._heard, self._most)

    def ended(self, call: BegunCall, now: float, *, given_up: bool) -> Excess:
        """It is over. given_up: by its client; who wastes too many, if that is one."""
        waited = self._waiting.pop(call, None) is not None
        wasted = given_up and now - call.since < RAPID_S
        if call.heard and not given_up:
            self._make_up(call)
        if call.counted or not (wasted or waited):
            return Excess.NONE
        return self._spend(call.peer, now)

    def has_called(self, address: str, port: int) -> bool:
        """Whether a call with a message came over the connection from there. From any thread."""
        return (address, port) in self._heard

    def _make_up(self, call: BegunCall) -> None:
        _take_back(self._connections, call.peer)
        _take_back(self._addresses, peer_group(call.peer))

    def _spend(self, peer: str, now: float) -> Excess:
        address = peer_address(peer)
        share = PROXY_SHARE if address is not None and self._is_proxy(address) else 1
        group = peer_group(peer)
        suspected = self._suspected.get(group, now) > now
        silent = peer_end(peer) not in self._heard
        of_connection = self._of_suspect if suspected and silent else self._of_connection
        excess = Excess.NONE
        if self._over(self._connections, peer, of_connection, share, now):
            excess |= Excess.CONNECTION
        if self._over(self._addresses, group, self._of_address, share, now) or (
            suspected and excess
        ):
            excess |= Excess.ADDRESS
            self._suspected.pop(group, None)
            self._suspected[group] = now + SUSPICION_S
            _bound(self._suspected, self._most)
        return excess

    def _over(
        self,
        spent: dict[str, tuple[float, float]],
        key: str,
        allowance: Allowance,
        share: int,
        now: float,
    ) -> bool:
        """One more; whether it is one too many, of which the next is the first again."""
        wasted, at = spent.pop(key, (0.0, now))
        wasted = max(0.0, wasted - (now - at) * allowance.per_s * share) + 1.0
        if wasted > allowance.burst * share:
            return True
        spent[key] = wasted, now
        _bound(spent, self._most)
        return False


def _take_back(spent: dict[str, tuple[float, float]], key: str) -> None:
    found = spent.get(key)
    if found is not None:
        spent[key] = max(0.0, found[0] - 1.0), found[1]


def _bound(remembered: dict[Any, Any], most: int) -> None:
    if len(remembered) > most:
        del remembered[next(iter(remembered))]
