"""RefusedAddresses: from which addresses a port takes no new connections for some seconds.

An address whose connection was closed because its calls come to nothing would otherwise come again
at once, and again bring what it had under way; on grpcio each of those calls still has to be taken
from the core. So it is refused for a second, and twice as long each time it does it again. Who
shares the address is refused with it, and therefore it is short; who is connected stays so, and
who is refused only waits, as the kernel drops what asks for a connection (`syn_filter`).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from control_plane.serving import syn_filter

log = logging.getLogger(__name__)

FIRST_S: Final = 1.0
LONGEST_S: Final = 16.0
REMEMBERED_S: Final = 60.0  # after it was refused: doing it again within that time is again
MOST: Final = 16_384  # addresses that are remembered

Attach = Callable[[int, list[str]], None]


@dataclass(frozen=True, slots=True)
class _Refused:
    """Until when, by a monotonic clock in s, and for how long in all."""

    until: float
    lasts_s: float


@dataclass(frozen=True, slots=True)
class _Listening:
    fd: int
    port: int


class RefusedAddresses:
    """Of one process. From any thread."""

    def __init__(
        self, *, clock: Callable[[], float], attach: Attach = syn_filter.attach, most: int = MOST
    ) -> None:
        """clock: monotonic s. attach: has a listening socket refuse these addresses and no
        others; raises OSError."""
        self._clock = clock
        self._attach = attach
        self._most = most
        self._lock = threading.Lock()
        self._listening: dict[str, _Listening] = {}  # by the link of a descriptor
        self._refused: dict[tuple[int, str], _Refused] = {}  # by port and group
        self._held: dict[int, list[str]] = {}  # what the sockets of a port refuse now
        self._told = False

    def __contains__(self, link: str) -> bool:
        """Whether this is a socket that listens."""
        return link in self._listening

    def listens(self, link: str, fd: int, port: int) -> None:
        """A socket that listens, by the link of its descriptor (/proc/self/fd)."""
        with self._lock:
            self._listening[link] = _Listening(fd, port)
            if self._held.get(port):
                self._filter(link, self._held[port])

    def keep(self, links: Collection[str]) -> None:
        """Sockets that are not among these are gone."""
        with self._lock:
            for gone in self._listening.keys() - links:
                del self._listening[gone]

    def refuse(self, group: str, ports: Collection[int]) -> None:
        """The sockets of these ports take no connection from there from now on. What is refused
        already is not refused for longer: it was one and the same flood."""
        with self._lock:
            now = self._clock()
            for port in ports:
                before = self._refused.get((port, group))
                if before is not None and before.until > now:
                    continue
                again = before is not None and before.until + REMEMBERED_S > now
                lasts_s = min(LONGEST_S, before.lasts_s * 2) if before and again else FIRST_S
                self._refused.pop((port, group), None)
                self._refused[port, group] = _Refused(now + lasts_s, lasts_s)
                if len(self._refused) > self._most:
                    del self._refused[next(iter(self._refused))]
            self._apply(now)

    def lift(self) -> float:
        """Lets in whose time is over. What comes back: seconds until the next one's is."""
        with self._lock:
            now = self._clock()
            left = [one.until - now for one in self._refused.values() if one.until > now]
            if self._held or left:
                self._apply(now)
            return min(left, default=LONGEST_S)

    def release(self, port: int) -> None:
        """This port refuses nobody any more."""
        with self._lock:
            for key in [key for key in self._refused if key[0] == port]:
                del self._refused[key]
            self._apply(self._clock())

    def _apply(self, now: float) -> None:
        """Has the sockets refuse whom they are to refuse now; of more than there is room for those
        that were refused last."""
        wanted: dict[int, list[str]] = {}
        for (port, group), one in self._refused.items():
            if one.until > now:
                wanted.setdefault(port, []).append(group)
        wanted = {port: groups[-syn_filter.MOST :] for port, groups in wanted.items()}
        before, self._held = self._held, wanted
        for link, listening in self._listening.items():
            groups = wanted.get(listening.port, [])
            if groups != before.get(listening.port, []):
                self._filter(link, groups)

    def _filter(self, link: str, groups: list[str]) -> None:
        fd = self._listening[link].fd
        try:
            if os.readlink(f"/proc/self/fd/{fd}") == link:  # else closed since
                self._attach(fd, groups)
        except OSError as error:
            if not self._told:
                self._told = True
                log.warning(
                    "addresses whose calls come to nothing cannot be kept from connecting again: "
                    "the kernel takes no filter for sockets (%s)",
                    error,
                )
