"""Connections of one load process to the servers, opened again when they go."""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from simulation.load.grpc_connection import EncodedCall, GrpcConnection

CONNECT_WITHIN_S = 5.0
MEND_EVERY_S = 0.2
SETTLE_S = 0.1  # settings go both ways on a new connection before the clock starts


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadServers:
    """host:port of each, at least one. ca: PEM file; `system`: the machine's; empty: no TLS.
    certificate, key: PEM files to show; empty: none."""

    addresses: Sequence[str]
    ca: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)
    protocol: str = "h2"  # as ALPN has it

    @property
    def scheme(self) -> str:
        return "https" if self.ca else "http"

    def context(self) -> ssl.SSLContext | None:
        """What secures connections; None: nothing does. Raises OSError, ssl.SSLError."""
        if not self.ca:
            return None
        made = ssl.create_default_context(cafile=None if self.ca == "system" else self.ca)
        made.set_alpn_protocols([self.protocol])
        if self.certificate:
            made.load_cert_chain(self.certificate, self.key)
        return made


@dataclass(slots=True)
class PendingCall:
    """A call under way: what it is for, when it was due on the run's clock, how often it has been
    refused; number: of the arrival, in the plan. connection and stream: once it is sent."""

    kind: int
    user: int
    place: int
    due_s: float
    refused: int = 0
    connection: LoadConnection | None = None
    stream: int = 0
    number: int = 0


Heard = Callable[[PendingCall, bytes, str, bytes], None]  # call, answer, error, trailers


class LoadConnection(asyncio.Protocol, ABC):
    """What is asked of a connection, whatever it speaks. closed: it takes no more calls."""

    closed: bool

    @property
    @abstractmethod
    def has_room(self) -> bool:
        """Whether it takes a call now."""

    @property
    @abstractmethod
    def under_way(self) -> int:
        """How many calls somebody waits for."""

    @abstractmethod
    def open(self, pending: PendingCall, encoded: EncodedCall) -> None:
        """Makes a call, where there is room; `flush` sends it."""

    @abstractmethod
    def flush(self) -> None:
        """Sends what was opened since."""

    @abstractmethod
    def abandon(self, pending: PendingCall, why: str) -> None:
        """Waits no longer for a call."""

    @abstractmethod
    def give_up(self, why: str) -> None:
        """Ends what is under way as an error of this kind, and closes the connection."""


class ConnectionPool(Protocol):
    """What is asked of connections, whatever they speak."""

    async def connect(self) -> None:
        """Opens all of them. Raises OSError and TimeoutError where one cannot be opened."""
        ...

    async def mend(self) -> None:
        """Opens again what goes, until it is cancelled."""
        ...

    def pick(self, kind: int) -> LoadConnection | None:
        """One that has room for a call of this kind; None: none has."""
        ...

    @property
    def connected(self) -> bool:
        """Whether any is open, with room or not."""
        ...

    @property
    def under_way(self) -> int:
        """Calls on all of them."""
        ...

    def flush(self) -> None:
        """Sends what was opened since."""
        ...

    def close(self) -> None:
        """Ends all of them."""
        ...


class UserConnection(GrpcConnection, LoadConnection):
    """Calls of many users. heard: told of each that has ended."""

    def __init__(self, heard: Heard) -> None:
        super().__init__()
        self._heard = heard
        self._calls: dict[int, PendingCall] = {}
        self._out: list[bytes] = []

    def open(self, pending: PendingCall, encoded: EncodedCall) -> None:
        """Makes a call, where there is room; `flush` sends it."""
        stream = self.send(encoded, self._out)
        pending.connection, pending.stream = self, stream
        self._calls[stream] = pending

    def flush(self) -> None:
        """Sends what was opened since."""
        self.write(self._out)
        self._out.clear()

    def abandon(self, pending: PendingCall, why: str) -> None:
        """Waits no longer for a call. The peer is not told: it knows the deadline, and takes many
        resets over one connection for an attack."""
        if self._calls.pop(pending.stream, None) is not None:
            self._heard(pending, b"", why, b"")

    @property
    def under_way(self) -> int:
        """How many calls somebody waits for."""
        return len(self._calls)

    def call_ended(self, stream: int, answer: bytes, error: str, trailers: bytes) -> None:
        pending = self._calls.pop(stream, None)
        if pending is not None:
            self._heard(pending, answer, error, trailers)


class Connections:
    """As many as were asked for, dealt out to the servers; those that go are opened again."""

    def __init__(
        self,
        servers: LoadServers,
        count: int,
        heard: Heard,
        make: Callable[[Heard], LoadConnection] = UserConnection,
    ) -> None:
        self._make = make
        self._servers = servers
        self._count = count
        self._heard = heard
        self._secured = servers.context()
        self._open: list[LoadConnection] = []
        self._turn = 0
        self.failures = 0  # to connect

    async def connect(self) -> None:
        """Opens all of them. Raises OSError and TimeoutError where one cannot be opened."""
        self._open = [await self._one(number) for number in range(self._count)]
        await asyncio.sleep(SETTLE_S)

    async def _one(self, number: int) -> LoadConnection:
        address = self._servers.addresses[number % len(self._servers.addresses)]
        host, _, port = address.rpartition(":")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_WITHIN_S):
            _, made = await loop.create_connection(
                lambda: self._make(self._heard), host.strip("[]"), int(port), ssl=self._secured
            )
        return made

    async def mend(self) -> None:
        """Opens again what goes, until it is cancelled."""
        while True:
            await asyncio.sleep(MEND_EVERY_S)
            for number, one in enumerate(self._open):
                if one.closed and not one.under_way:
                    try:
                        self._open[number] = await self._one(number)
                    except (OSError, TimeoutError):
                        self.failures += 1

    def pick(self, kind: int = 0) -> LoadConnection | None:
        """The next one that has room, for a call of any kind; None: none has."""
        for _ in range(self._count):
            self._turn = (self._turn + 1) % self._count
            if self._open[self._turn].has_room:
                return self._open[self._turn]
        return None

    @property
    def connected(self) -> bool:
        """Whether any is open, with room or not."""
        return any(not one.closed for one in self._open)

    @property
    def under_way(self) -> int:
        """Calls on all of them."""
        return sum(one.under_way for one in self._open)

    def flush(self) -> None:
        """Sends what was opened since."""
        for one in self._open:
            one.flush()

    def close(self) -> None:
        """Ends all of them."""
        for one in self._open:
            one.give_up("closed")
