"""What scenarios of data sharing's alerts share: a server that Prometheus scrapes, commands as
operators type them, platforms, and events."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from console.local.etcd_process import free_ports
from homeport.api.datasharing.v1 import feed_pb2 as feeds
from homeport.api.datasharing.v1 import feed_pb2_grpc
from tests.support.command_line import run_process
from tests.support.data_sharing_server import SharingServer
from tests.support.platforms import PlatformProcess
from tests.support.prometheus import Prometheus
from tests.support.submissions import event, text

CALL_S = 60.0


class WatchedSharing:
    """A data-sharing server, a Prometheus that scrapes it, and the one platform that it may
    have."""

    def __init__(
        self, folder: Path, server: SharingServer, channel: grpc.aio.Channel, stack: ExitStack
    ) -> None:
        self.folder, self.server = folder, server
        (port,) = free_ports(1)
        self.platform_metrics = f"127.0.0.1:{port}"
        self.prometheus: Prometheus
        self._stub = feed_pb2_grpc.FeedServiceStub(channel)
        self._stack = stack
        self._numbers = itertools.count()

    async def operate(self, *words: str) -> Any:
        """`homeport …`, as operators type it; it has to end well. The document that it printed."""
        ran = await asyncio.to_thread(
            run_process, *words, "-o", "json", HOMEPORT_DATA_SERVER=self.server.address
        )
        assert ran.code == 0, ran.out + ran.err
        return ran.document

    async def submit(self, manifest: dict[str, Any], artifact: bytes = b"") -> None:
        """`homeport apps submit`."""
        file, words = self._written("manifest.json", text(manifest).encode()), list[str]()
        if artifact:
            words = ["--artifact", self._written("artifact", artifact)]
        await self.operate("apps", "submit", file, *words)

    async def apply(self, rules: str) -> None:
        """`homeport rules apply`."""
        await self.operate("rules", "apply", self._written("rules.yaml", rules.encode()))

    async def publish(self, count: int = 1, **data: Any) -> None:
        """Events of traffic on road A1, in one call, each of which has to be kept."""
        given = {"road": "A1", "speed_kmh": 100, **data}
        request = feeds.PublishBatchRequest(
            events=[event(f"e{next(self._numbers)}", given) for _ in range(count)]
        )
        answer = await self._stub.PublishBatch(request, timeout=CALL_S)
        failed = [one.error for one in answer.results if one.HasField("error")]
        assert failed == []

    async def scraped(self, metric: str) -> None:
        """Until Prometheus has a value of it: only what is there before grows."""
        await asyncio.to_thread(self.prometheus.wait_for_value, metric)

    async def platform(self) -> PlatformProcess:
        """`homeport platforms run --applications coffee`, once it is ready; the data of the one
        before is its own."""
        port = int(self.server.address.rpartition(":")[2])
        process = PlatformProcess(
            self.folder, port, f"--metrics-listen={self.platform_metrics}", "--capacity=2"
        )
        self._stack.callback(process.kill)
        await process.ready()
        return process

    async def instructions(self) -> list[dict[str, Any]]:
        """`homeport decisions instructions`, the newest first."""
        found: list[dict[str, Any]] = (await self.operate("decisions", "instructions"))[
            "instructions"
        ]
        return found

    def _written(self, name: str, content: bytes) -> str:
        file = self.folder / name
        file.write_bytes(content)
        return str(file)


@asynccontextmanager
async def watched_sharing(
    folder: Path,
    *,
    faster: int,
    platform: bool = False,
    server_folder: Path | None = None,
    arguments: Sequence[str] = (),
) -> AsyncIterator[WatchedSharing]:
    """faster: as Prometheus; platform: it is to look for one; server_folder: where the server has
    its data, default: `folder`; arguments: of the server, besides."""
    with ExitStack() as stack:
        server = stack.enter_context(SharingServer(server_folder or folder, *arguments))
        async with grpc.aio.insecure_channel(server.address) as channel:
            made = WatchedSharing(folder, server, channel, stack)
            targets = {"homeport-share": [server.metrics]}
            if platform:
                targets["homeport-platform"] = [made.platform_metrics]
            made.prometheus = stack.enter_context(
                Prometheus(folder / "prometheus", targets, faster=faster)
            )
            yield made


@asynccontextmanager
async def all_the_while(action: Callable[[], Any], *, every_s: float) -> AsyncIterator[None]:
    """Does something again and again until left; what it raises ends the scenario."""

    async def repeat() -> None:
        while True:
            await action()
            await asyncio.sleep(every_s)

    task = asyncio.create_task(repeat())
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
