"""TcpProxy: a way to a server that can be cut, and on which one side can be made dumb."""

from __future__ import annotations

import asyncio
from typing import Self


class TcpProxy:
    """An async context manager. target: port on this machine; `port`: where it is reached.

    While `answers_lost` what callers say is read and goes nowhere, and they hear all the same.
    While `is_cut` nobody is connected.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.answers_lost = False
        self.lost_bytes = 0
        self.is_cut = False
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Ends all connections; new ones are refused until `mend`."""
        self.is_cut = True
        for one in self._open:
            one.transport.abort()

    def mend(self, target: int) -> None:
        """Callers are connected again, and heard."""
        self.target, self.is_cut, self.answers_lost = target, False, False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, inner_writer}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, inner_writer, spoken=True))
                both.create_task(self._pass_on(inner_reader, writer, spoken=False))
        finally:
            self._open -= {writer, inner_writer}

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, spoken: bool
    ) -> None:
        try:
            while some := await reader.read(65_536):
                if spoken and self.answers_lost:
                    self.lost_bytes += len(some)
                    continue
                writer.write(some)
                await writer.drain()
        except OSError:
            pass  # cut
        finally:
            writer.close()
