"""LargeBodies: reads or writes a large body, apart from the event loop: in a thread, one at a time.

Addresses take turns, and of each address its connections, as calls over gRPC do: who sends a
thousand of them makes another wait for one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from control_plane.serving.peers import peer_group
from control_plane.thread_turns import ThreadTurns

T = TypeVar("T")


class LargeBodies(ThreadTurns):
    """Of one door. See ThreadTurns."""

    async def work(self, peer: str, function: Callable[..., T], *arguments: object) -> T:
        """What the function returns, or raises. peer: whose body it is, as gRPC writes it."""
        return await self.in_turn(peer_group(peer), peer, function, *arguments)
