"""ConnectionWatch: holds the connections of listening ports within limits, on any transport.

Neither transport can: pygrpc-native refuses the options for it, grpcio counts nothing by address.
So a thread looks at the sockets of this very process, which the kernel lists: those accepted on the
port, whose they are, and since when nothing came (TCP_INFO). Those that have to go
(`connection_limits`) are shut down, and the transport sees its client leave. Nothing stands in the
way of bytes, so calls cost what they cost without; and what looks at sockets need not read TLS.
A new connection wakes it; after each look it rests for a multiple of what the look took. Linux
alone lists and tells this.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import resource
import select
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from struct import Struct

from control_plane.once_per_address import OncePerAddress
from control_plane.serving.connection_limits import (
    ConnectionLimits,
    OpenConnection,
    Reason,
    group_of,
    to_close,
)
from control_plane.serving.refused_addresses import RefusedAddresses

log = logging.getLogger(__name__)

LOOK_S = 1.0  # between looks where nobody comes
REST = 4  # a look is followed by a rest of so many times its length …
LEAST_REST_S = 0.01  # … and by this one at least
SPARE = 4  # descriptors that are given up where none is left
END_S = 10.0
SHUT_S = 30.0  # calls of a connection that was closed may still come for so long …
MOST_SHUT = 16_384  # … of those that were closed last
_INFO = 192  # bytes of TCP_INFO
_SILENT_MS, _RECEIVED = Struct("=52xI"), Struct("=128xQ")  # struct tcp_info of linux/tcp.h
_FOLDER = "/proc/self/fd"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Port:
    """What holds for the connections of one port."""

    limits: ConnectionLimits
    is_proxy: Callable[[str], bool]


@dataclass(slots=True, kw_only=True)
class _Seen:
    """A connection since it was first seen. fd: where it is open, as long as its link says so."""

    fd: int
    port: int
    peer: tuple[str, int]
    group: str
    proxy: bool
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unheard:
    """Connections that have to go: over which more than so many bytes came, and no call."""

    has_called: Callable[[str, int], bool]
    beyond: int


class ConnectionWatch:
    """One for a process, or for each of its servers. `hold` a port once it listens, and `release`
    it before it ends; `close_peer` from any thread."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: monotonic s."""
        self._clock = clock
        self._ports: dict[int, _Port] = {}  # replaced, never changed: another thread reads it
        self._seen: dict[str, _Seen] = {}  # by the link of a descriptor, which names the socket
        self._refused = RefusedAddresses(clock=clock)  # knows the sockets that listen
        self._others: set[str] = set()  # of descriptors that are none of ours to look at
        self._links: dict[tuple[str, int], str] = {}  # of those seen, by their other end
        self._unwanted: set[tuple[str, int]] = set()
        self._shut: dict[tuple[str, int], float] = {}  # other ends, and when they were closed
        self._unheard: dict[str, _Unheard] = {}  # by group
        self._counting = threading.Lock()
        self._told = OncePerAddress(log, clock=clock)
        self._spare: list[int] = []
        self._thread: threading.Thread | None = None
        self._wake = -1
        self.closed: Counter[Reason] = Counter()

    @property
    def connections(self) -> int:
        """Connections that stood at the last look."""
        return len(self._seen)

    def hold(self, port: int, limits: ConnectionLimits, is_proxy: Callable[[str], bool]) -> None:
        """From now on the connections of a port that this process listens on are held within
        limits. is_proxy: whether an address is a trusted proxy's."""
        if not os.path.isdir(_FOLDER):
            log.warning("connections are not limited here: that takes Linux")
            return
        self._ports = self._ports | {port: _Port(limits=limits, is_proxy=is_proxy)}
        if self._thread is None:
            self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._spare = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(SPARE)]
            self._thread = threading.Thread(target=self._run, name="connections", daemon=True)
            self._thread.start()
        else:
            os.eventfd_write(self._wake, 1)

    def release(self, port: int) -> None:
        """The connections of this port may be as they like. With the last port the thread ends,
        for which this waits."""
        self._ports = {other: kept for other, kept in self._ports.items() if other != port}
        self._refused.release(port)
        if self._thread is None or self._ports:
            return
        os.eventfd_write(self._wake, 1)
        self._thread.join(END_S)
        self._thread = None
        for fd in (self._wake, *self._spare):
            os.close(fd)
        self._spare = []

    def close_peer(self, address: str, port: int) -> None:
        """Closes the connection whose other end this is, because it wastes too many calls: at
        once, where it has been seen, so that what it still has to come does not."""
        if self._thread is None:
            return
        self._note_shut((address, port))
        link = self._links.get((address, port))
        if link is not None and (seen := self._seen.get(link)) is not None:
            if self._close(seen.fd, link):
                self._tell({(seen.group, Reason.WASTED): 1})
            return
        self._unwanted.add((address, port))
        os.eventfd_write(self._wake, 1)

    def close_unheard(
        self, group: str, has_called: Callable[[str, int], bool], *, beyond: int
    ) -> None:
        """Closes those connections of an address over which more than so many bytes came, and no
        call with a message, at the next look. has_called: whether one came, by address and port;
        another thread asks."""
        if self._thread is not None:
            self._unheard[group] = _Unheard(has_called=has_called, beyond=beyond)
            os.eventfd_write(self._wake, 1)

    def is_closed(self, address: str, port: int) -> bool:
        """Whether the connection from there was closed by this, and no other one has come from
        there since. From any thread."""
        at = self._shut.get((address, port))
        return at is not None and self._clock() - at < SHUT_S

    def refuse(self, group: str, ports: Collection[int]) -> None:
        """For some seconds nobody connects to these ports from there (`refused_addresses`)."""
        if self._thread is not None:
            self._refused.refuse(group, ports)
            os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        known: dict[int, _Port] = {}
        with select.epoll() as arrivals:
            arrivals.register(self._wake, select.EPOLLIN)
            while ports := self._ports:
                if ports is not known:
                    self._others.clear()  # among them may be what is of another port now
                    known = ports
                began = self._clock()
                try:
                    self._look(arrivals, ports)
                except Exception:  # the boundary: the next look may be better
                    log.exception("connections could not be looked at")
                rest = max(LEAST_REST_S, REST * (self._clock() - began))
                if not self._ports:
                    break
                time.sleep(rest)
                arrivals.poll(max(0.0, min(LOOK_S, self._refused.lift()) - rest))
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)

    def _look(self, arrivals: select.epoll, ports: Mapping[int, _Port]) -> None:
        now, descriptors, here = self._clock(), 0, set[str]()
        unwanted, self._unwanted = self._unwanted, set()
        unheard, self._unheard = self._unheard, {}
        for name in _descriptors():
            try:
                link = os.readlink(f"{_FOLDER}/{name}")
            except OSError:
                continue  # closed since
            descriptors += 1
            here.add(link)
            seen = self._seen.get(link)
            if seen is not None:
                seen.fd = int(name)
            elif link not in self._others and link not in self._refused:
                self._meet(int(name), link, now, arrivals, ports)
        for gone in self._seen.keys() - here:
            peer = self._seen.pop(gone).peer
            if self._links.get(peer) == gone:
                del self._links[peer]
        self._others &= here
        self._refused.keep(here)
        links, of_port = list(self._seen), defaultdict[int, list[OpenConnection]](list)
        for one, port in self._measured(now, ports):
            of_port[port].append(one)
        doomed: dict[OpenConnection, Reason] = {}
        for port, connections in of_port.items():
            limits = ports[port].limits
            most = _most(limits, others=descriptors - len(connections))
            doomed.update(to_close(connections, limits, most=most))
            doomed.update(self._wasteful_among(connections, unwanted, unheard))
        told: Counter[tuple[str, Reason]] = Counter()
        for one, reason in doomed.items():
            link = links[one.key]
            if self._close(self._seen[link].fd, link):
                self._note_shut(self._seen[link].peer)
                told[one.group, reason] += 1
        self._tell(told)

    def _meet(
        self, fd: int, link: str, now: float, arrivals: select.epoll, ports: Mapping[int, _Port]
    ) -> None:
        """Finds out what a descriptor is that was not there at the last look."""
        if not link.startswith("socket:"):
            self._others.add(link)
            return
        try:
            held = socket.socket(fileno=fd)  # of whichever family it is
        except OSError:
            return  # closed since
        try:
            here = held.getsockname()
            port = here[1] if isinstance(here, tuple) and len(here) > 1 else -1
            if port not in ports:
                self._others.add(link)
            elif held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                arrivals.register(fd, select.EPOLLIN | select.EPOLLET)
                self._refused.listens(link, fd, port)
            else:
                address, peer_port = held.getpeername()[:2]
                address = address.removeprefix("::ffff:") if "." in address else address
                address = address.partition("%")[0]
                self._links[address, peer_port] = link
                with self._counting:
                    self._shut.pop((address, peer_port), None)
                self._seen[link] = _Seen(
                    fd=fd,
                    port=port,
                    peer=(address, peer_port),
                    group=group_of(address),
                    proxy=ports[port].is_proxy(address),
                    since=now,
                )
        except (OSError, ValueError):
            return  # closed since, or not connected yet
        finally:
            held.detach()

    def _measured(
        self, now: float, ports: Mapping[int, _Port]
    ) -> Iterable[tuple[OpenConnection, int]]:
        """Those that stand, known by their place among the seen, with the port of each."""
        for place, seen in enumerate(self._seen.values()):
            if seen.port not in ports:
                continue
            age = now - seen.since
            try:
                held = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=seen.fd)
            except OSError:
                continue  # closed since
            try:
                info = held.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO)
                silent = _SILENT_MS.unpack_from(info)[0] / 1000.0
                received = _RECEIVED.unpack_from(info)[0]
            except OSError:
                continue  # closed since
            finally:
                held.detach()
            measured = OpenConnection(
                key=place,
                group=seen.group,
                proxy=seen.proxy,
                age_s=age,
                silent_s=min(silent, age),
                received=received,
            )
            yield measured, seen.port

    def _wasteful_among(
        self,
        connections: list[OpenConnection],
        unwanted: Collection[tuple[str, int]],
        unheard: Mapping[str, _Unheard],
    ) -> Iterable[tuple[OpenConnection, Reason]]:
        if not unwanted and not unheard:
            return
        peers = [seen.peer for seen in self._seen.values()]
        for one in connections:
            peer, of_group = peers[one.key], unheard.get(one.group)
            if peer in unwanted or (
                of_group is not None
                and one.received > of_group.beyond
                and not of_group.has_called(*peer)
            ):
                yield one, Reason.WASTED

    def _note_shut(self, peer: tuple[str, int]) -> None:
        with self._counting:
            self._shut.pop(peer, None)
            self._shut[peer] = self._clock()
            if len(self._shut) > MOST_SHUT:
                del self._shut[next(iter(self._shut))]

    def _tell(self, closed: Mapping[tuple[str, Reason], int]) -> None:
        with self._counting:
            for (group, reason), count in closed.items():
                self.closed[reason] += count
                self._told.warn(group, f"connections closed: {reason}", count)

    def _close(self, fd: int, link: str) -> bool:
        """Whether the connection was there to be shut down. The transport may close it any
        moment, and its number be another file's: so it is held under a second one first."""
        try:
            held = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0)
        except OSError:
            if not self._spare:
                return False
            os.close(self._spare.pop())
            try:
                held = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0)
            except OSError:
                return False
        try:
            if os.readlink(f"{_FOLDER}/{held}") != link:
                return False
            holding = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=held)
            try:
                holding.shutdown(socket.SHUT_RDWR)
            finally:
                holding.detach()
        except OSError:
            return False
        finally:
            os.close(held)
            if len(self._spare) < SPARE:
                with contextlib.suppress(OSError):
                    self._spare.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        return True


def _descriptors() -> Iterable[str]:
    """Of this process; where none is left to read the folder by, all that there may be."""
    try:
        return os.listdir(_FOLDER)
    except OSError:
        return map(str, range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))


def _most(limits: ConnectionLimits, *, others: int) -> int:
    """How many connections there may be beside so many other descriptors, so that the process
    keeps some in reserve."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    room = max(0, soft - min(limits.spare_descriptors, soft // 4) - others)
    return min(room, limits.overall or room)
