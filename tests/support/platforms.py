"""Platform processes and a decision service that sends to them, for tests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from control_plane.serving.server import Server, Transport
from data_sharing.api.platform_service import PlatformService
from data_sharing.clock import wall_ms
from data_sharing.database import Database
from data_sharing.decisions import dead_letters, outbox
from data_sharing.decisions.outbox import InstructionState, StoredInstruction
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.instruction import Instruction, Performed
from data_sharing.registry.catalogue import Version
from data_sharing.registry.manifest import Manifest, RuntimeNeeds
from data_sharing.runtimes.port import Artifact, ArtifactKind
from data_sharing.signing import SigningKey
from tests.support.fakes.registry_service import FakeRegistry
from tests.support.sharing_parts import read_turns

APPLICATIONS = Path(__file__).parents[2] / "data-sharing" / "applications"
COFFEE = Artifact.of(
    ArtifactKind.WASI_COMMAND, (APPLICATIONS / "coffee" / "coffee.wasm").read_bytes()
)
KEY = SigningKey.of(b"s" * 32)
WAIT_S = 60.0


def coffee(version: str = "1.0.0") -> Version:
    """The coffee machine, as a registry would have accepted it."""
    return Version(
        manifest=Manifest(
            tenant="default",
            application="coffee",
            version=version,
            runtime=RuntimeNeeds(kind=COFFEE.kind),
        ),
        text="{}",
        artifact_sha256=COFFEE.sha256,
        artifact_size=len(COFFEE.content),
        submitted_ms=0,
        current=True,
    )


def brew(number: int, *, cups: int = 2, idempotent: bool = False, for_s: float = 60.0):
    """An instruction to brew."""
    now_ms = wall_ms()
    return Instruction(
        id=f"i-{number}",
        tenant="default",
        application="coffee",
        version="1.0.0",
        artifact=COFFEE.sha256,
        action="brew",
        configuration={"cups": cups},
        deadline_ms=now_ms + int(for_s * 1000),
        idempotent=idempotent,
        decided_at_ms=now_ms,
    )


class Serving:
    """A decision service's sending half, on a port."""

    def __init__(self, database: Database, dispatcher: Dispatcher, told: list[Performed]) -> None:
        self.database, self.dispatcher, self.told = database, dispatcher, told
        self.registry = FakeRegistry({("coffee", "1.0.0"): COFFEE.content})
        self.service = PlatformService(
            dispatcher,
            KEY,
            lambda tenant, name, version: coffee() if name == "coffee" else None,
            turns=read_turns(),
            tenant_of=lambda context, tenant: tenant or "default",
            needed=lambda tenant: set(),
            wall_ms=wall_ms,
        )
        self.port = 0

    async def decide(self, *instructions: Instruction) -> None:
        await self.database.transact(
            lambda db: [outbox.put(db, one, needs_approval=False) for one in instructions]
        )

    def kept(self, number: int) -> StoredInstruction:
        found = self.database.read(lambda db: outbox.get(db, f"i-{number}"))
        assert found is not None
        return found

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def ends(
        self, number: int, state: InstructionState = InstructionState.DONE
    ) -> StoredInstruction:
        await self.until(lambda: self.kept(number).state is state)
        return self.kept(number)


@asynccontextmanager
async def serving(
    folder: Path, transport: Transport = Transport.GRPCIO, *, port: int = 0, fence: int = 1
) -> AsyncIterator[Serving]:
    """Serves inside, and drains at the end."""
    database = await Database.open(folder / "db", [outbox.SCHEMA, dead_letters.SCHEMA])
    told: list[Performed] = []
    recorder = OutcomeRecorder(lambda db, kept, performed: told.append(performed), wall_ms=wall_ms)
    dispatcher = Dispatcher(
        database, KEY, recorder, partition="0", fence=fence, wall_ms=wall_ms, jitter=lambda: 0.5
    )
    here = Serving(database, dispatcher, told)
    server = Server([here.service.service(), here.registry.service()], transport=transport)
    here.port = server.bind(f"127.0.0.1:{port}")
    run = asyncio.create_task(dispatcher.run())
    await server.start()
    try:
        yield here
    finally:
        here.service.drain()
        await server.stop(1.0)
        run.cancel()
        await database.close()


class PlatformProcess:
    """`python -m data_sharing.platforms`, as an operator runs it."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *arguments: str,
        name: str = "hub",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder / name
        self.ready_file = folder / f"{name}-ready.json"
        self.ready_file.unlink(missing_ok=True)
        self.log = folder / f"{name}.log"
        with self.log.open("a") as sink:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "data_sharing.platforms", f"--name={name}",
                    "--applications=coffee", f"--data-dir={self.folder}",
                    f"--server=127.0.0.1:{port}", f"--ready-file={self.ready_file}",
                    "--ttl-s=2", *arguments,
                ],
                stdout=sink,
                stderr=sink,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip

    async def ready(self) -> dict[str, object]:
        async with asyncio.timeout(WAIT_S):
            while not self.ready_file.exists():
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.02)
        facts: dict[str, object] = json.loads(self.ready_file.read_text())
        return facts

    async def ends(self) -> int:
        async with asyncio.timeout(WAIT_S):
            while (code := self.process.poll()) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return code

    async def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ends()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)
