"""Capture: the TCP timestamps of connections to an HTTP port of the unit's, and which of them came
from the same browser or device.

Linux keeps the SYN of a connection where its listening socket asks for it; no right is needed to
read it. Elsewhere there are no timestamps, and whoever asks is told that there are none.
"""

from __future__ import annotations

import socket
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from control_plane.serving.tls_listener import peer_of
from deployment_units.services.device_graph.evidence import MOST_STAMPS, TcpStamp
from deployment_units.services.device_graph.syn_header import MOST_BYTES, timestamp_of

TCP_SAVE_SYN: Final = 27  # linux/tcp.h; the socket module has no names for them
TCP_SAVED_SYN: Final = 28
MOST_CONNECTIONS: Final = 10_000  # that are remembered
TOGETHER_MS: Final = 600_000  # connections of one boot are looked at together for so long


@dataclass(frozen=True, slots=True, kw_only=True)
class StampAt:
    """server: the address of ours that was connected to."""

    server: str
    stamp: TcpStamp


class SynStamps:
    """Of one port. wall_ms: Unix ms. Use from the event loop."""

    def __init__(
        self, *, wall_ms: Callable[[], int], most_connections: int = MOST_CONNECTIONS
    ) -> None:
        self._wall_ms = wall_ms
        self._most = most_connections
        self._by_peer: OrderedDict[str, StampAt] = OrderedDict()
        self._connections = 0

    def listening(self, sockets: Iterable[Any]) -> None:
        """Has the kernel keep what connections to these begin with, if it can."""
        if sys.platform != "linux":
            return
        for one in sockets:
            one.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)

    def accepted(self, connection: Any) -> None:
        """One has come."""
        if sys.platform != "linux":
            return
        try:
            header = connection.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, MOST_BYTES)
            peer, own = connection.getpeername(), connection.getsockname()
        except OSError:  # it has ended
            return
        value, name = timestamp_of(header), peer_of(peer)
        self._by_peer.pop(name, None)  # of an earlier connection from there
        if value is None:
            return
        self._connections += 1
        self._by_peer[name] = StampAt(
            server=peer_of(own),
            stamp=TcpStamp(connection=self._connections, value=value, seen_ms=self._wall_ms()),
        )
        if len(self._by_peer) > self._most:
            self._by_peer.popitem(last=False)

    def of(self, peer: str) -> StampAt | None:
        """The stamp of a connection, by its other end as gRPC writes it; None: it brought none."""
        return self._by_peer.get(peer)


class StampsTogether:
    """The stamps of each browser and device, over its last connections. In memory."""

    def __init__(self, *, most_keys: int = MOST_CONNECTIONS) -> None:
        self._most = most_keys
        self._stamps: OrderedDict[Hashable, list[StampAt]] = OrderedDict()

    def add(self, key: Hashable, came: StampAt) -> tuple[TcpStamp, ...]:
        """Those of the same key and the same address of ours by now, the last ones."""
        since_ms = came.stamp.seen_ms - TOGETHER_MS
        kept = [
            one
            for one in self._stamps.get(key, [])
            if one.stamp.seen_ms >= since_ms and one.stamp.connection != came.stamp.connection
        ]
        kept = [*kept, came][-MOST_STAMPS:]
        self._stamps[key] = kept
        self._stamps.move_to_end(key)
        if len(self._stamps) > self._most:
            self._stamps.popitem(last=False)
        return tuple(one.stamp for one in kept if one.server == came.server)
