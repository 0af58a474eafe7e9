"""A TCP proxy on loopback that can fall silent or hang up, as networks do."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self


class TcpProxy:
    """Forwards connections to `target` ("host:port"). An async context manager."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._talking = asyncio.Event()
        self._talking.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[Any]] = set()
        self.connections = 0  # accepted so far
        self.passed_bytes = 0  # in both directions

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.endpoint = f"{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        self._talking.set()
        self.hang_up()
        if self._serving:
            await asyncio.wait(self._serving)

    def silence(self) -> None:
        """Passes nothing on from now on; connections stand, new ones are accepted."""
        self._talking.clear()

    def hang_up(self) -> None:
        """Cuts every connection there is; new ones are served."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self._writers.add(writer)
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(there_writer)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pass_on(reader, there_writer))
            both.create_task(self._pass_on(there_reader, writer))
        self._writers -= {writer, there_writer}

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await self._talking.wait()
                self.passed_bytes += len(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # one side hung up: so does the other, below
        finally:
            writer.transport.abort()
