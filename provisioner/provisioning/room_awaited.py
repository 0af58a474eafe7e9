"""RoomAwaited: what a client is told for whom no unit within the cap in latency has room.

It comes again, with the waiting token that it is told, and waits since it first came: after the
time that its policy says a wider cap holds. When to come is spread, and not after the next step.
"""

from __future__ import annotations

from math import inf

from control_plane.errors import Exhausted
from provisioner.placement.latency import CapInForce, cap_words

REASON = "WAITING_FOR_ROOM"
TOKEN = "waiting_token"  # its name in the metadata of the error
LONGEST_S = 10.0  # between two asks
SHORTEST_S = 0.05
AT_ONCE_S = 1.0  # with less left until a step the next ask is at the step
STRETCH = 1.2  # by which clients lengthen what they are told


class RoomAwaited(Exhausted):
    """Retrying helps, with the token of `told`: metadata has it beside what holds."""

    reason = REASON

    def __init__(self, cap: CapInForce, *, jitter: float) -> None:
        """jitter: 0.0 to 1.0."""
        super().__init__(_sentence(cap), retry_after_s=ask_again_s(cap.left_s, jitter))
        self.cap = cap
        self.metadata = {"waited_s": f"{cap.waited_s:.0f}"}
        if cap.limit_ms < inf:
            self.metadata["within_ms"] = f"{cap.limit_ms:g}"
        if cap.left_s < inf:
            self.metadata["relaxes_after_s"] = f"{cap.next_after_s:g}"

    def told(self, token: str) -> RoomAwaited:
        """The same to one of those who asked."""
        made = RoomAwaited(self.cap, jitter=0.0)
        made.retry_after_s = self.retry_after_s
        made.metadata = {**self.metadata, TOKEN: token}
        return made


def ask_again_s(left_s: float, jitter: float) -> float:
    """After how long a client is to ask again, with so much left until the cap relaxes; inf: it
    does not any more."""
    if left_s == inf:
        return 1.0 + 2.0 * jitter
    if left_s <= AT_ONCE_S:
        return max(SHORTEST_S, left_s)
    return min(LONGEST_S, left_s / STRETCH) * (0.5 + 0.5 * jitter)


def _sentence(cap: CapInForce) -> str:
    full = f"all units that may take this client {cap_words(cap.limit_ms)} are full"
    again = "ask again with the waiting token"
    if cap.left_s == inf:
        return f"{full}; {again}, or add capacity"
    waits = f"it waits for room, and {cap.left_s:,.0f} s from now may live {cap_words(cap.next_ms)}"
    return f"{full}; {waits}: {again}"
