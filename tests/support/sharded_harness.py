"""The harness of fault scenarios over several clusters: one for the control data, two or more for
assignments."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.local.etcd_process import EtcdCluster
from tests.support.fault_harness import FaultHarness
from tests.support.judge.clusters_recorder import ClustersRecorder, recording_clusters
from tests.support.judge.recorder import connected

FAST = ("--heartbeat-interval=10", "--election-timeout=100")
COMMAND_S = 120.0


@dataclass(slots=True)
class ShardedHarness:
    """The harness, and what is different about it."""

    on: FaultHarness
    recorder: ClustersRecorder
    clusters: Mapping[str, EtcdCluster]
    stores_flag: str  # the flag that names the clusters

    @property
    def stores(self) -> list[str]:
        """Flags of `homeport store`."""
        return [f"--store={self.on.url}", self.stores_flag]

    async def serve(self, count: int = 1, *arguments: str, **more: Any) -> None:
        """Servers that know all clusters."""
        await self.on.serve(count, self.stores_flag, *arguments, **more)

    async def command(
        self,
        *words: str,
        program: Sequence[str] = ("-c", "from console.cli.main import main; main()"),
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """One `homeport store` command, to its end."""
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, *program, "store", *words, *self.stores, "-o", "json"],
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
            env=None if environment is None else dict(environment),
        )


@asynccontextmanager
async def sharded_harness(
    folder: Path, *, clusters: Sequence[str] = ("east", "west")
) -> AsyncIterator[ShardedHarness]:
    """Over etcds of one member each; the judge follows every one of them."""
    with ExitStack() as stack:
        control = EtcdCluster(folder / "control", arguments=FAST)
        others = {name: EtcdCluster(folder / name, arguments=FAST) for name in clusters}
        for one in (control, *others.values()):
            stack.callback(one.kill)
            await asyncio.to_thread(one.start)
        async with AsyncExitStack() as judging:
            watched = {
                name: await judging.enter_async_context(connected(one.endpoints))
                for name, one in (("", control), *others.items())
            }
            recorder = await judging.enter_async_context(
                recording_clusters(
                    watched[""],
                    {name: watched[name] for name in clusters},
                    folder / "judge.db",
                )
            )
            with ExitStack() as running:
                on: Any = FaultHarness(folder, control.url, running, None, watched[""], control)
                on.recorder = recorder
                addresses = ";".join(f"{name}={one.url}" for name, one in others.items())
                yield ShardedHarness(on, recorder, others, f"--assignment-stores={addresses}")
