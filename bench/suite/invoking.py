"""Invoking a sandboxed application, next to wasmtime alone.

Ours: the committed sample command through Hosting: off the event loop, watched, limited, its
output read as JSON, a fresh instance each, eight in flight. The ceiling: the same module and
input with nothing but wasmtime, pre-linked, one after another, its output let go.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from wasmtime import Engine, ExitTrap, Func, InstancePre, Linker, Module, Store, WasiConfig

from bench.suite.measurement import Failed, Measurement, Ratio, Samples
from data_sharing.runtimes.output import command_input
from data_sharing.runtimes.port import (
    Artifact,
    ArtifactKind,
    Installed,
    Invocation,
    InvocationStatus,
)
from data_sharing.runtimes.runtime_host import RuntimeHost

COMMAND = Path("data-sharing/applications/coffee/coffee.wasm")
ASKED = Invocation(action="brew", input='{"cups": 2}', key="bench")
CALLS = 2_000
IN_FLIGHT = 8


def bare(engine: Engine, content: bytes) -> InstancePre:
    """The module, linked with wasmtime's own WASI."""
    linker = Linker(engine)
    linker.define_wasi()
    return linker.instantiate_pre(Module(engine, content))


def bare_per_s(engine: Engine, pre: InstancePre, stdin: Path, calls: int) -> float:
    """Instances made and run a second."""
    began = time.perf_counter()
    for _ in range(calls):
        store = Store(engine)
        wasi = WasiConfig()
        wasi.stdin_file = str(stdin)
        wasi.stdout_file = "/dev/null"
        store.set_wasi(wasi)
        start = pre.instantiate(store).exports(store)["_start"]
        assert isinstance(start, Func)
        try:
            start(store)
        except ExitTrap as error:
            if error.code:
                raise Failed(f"the bare module ended with {error.code}") from None
    return calls / (time.perf_counter() - began)


async def hosted_per_s(hosting: RuntimeHost, installed: Installed, calls: int) -> float:
    """Outcomes a second. Raises Failed where one is not DONE."""
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            outcome = await hosting.invoke(installed, ASKED)
            if outcome.status is not InvocationStatus.DONE:
                raise Failed(f"an invocation ended {outcome.status}: {outcome.message}")

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    return calls / (time.perf_counter() - began)


def blocking_per_s(installed: Installed, calls: int) -> float:
    """The same without event loop and threads, one after another."""
    began = time.perf_counter()
    for _ in range(calls):
        installed.invoke(ASKED)
    return calls / (time.perf_counter() - began)


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Alternates ours and wasmtime alone."""
    calls = CALLS // (5 if quick else 1)
    content = COMMAND.read_bytes()
    with tempfile.TemporaryDirectory() as folder, RuntimeHost(Path(folder)) as hosting:
        stdin = Path(folder) / "stdin"
        stdin.write_bytes(command_input(ASKED))
        engine = Engine()
        pre = bare(engine, content)
        installed = hosting.install(Artifact.of(ArtifactKind.WASI_COMMAND, content))
        for number in range(-1, rounds):
            kept = samples if number >= 0 else Samples()  # round -1 warms everything up
            kept.add("raw_wasmtime_per_s", bare_per_s(engine, pre, stdin, calls))
            kept.add("invoke_blocking_per_s", blocking_per_s(installed, calls))
            kept.add("invoke_per_s", asyncio.run(hosted_per_s(hosting, installed, calls)))
            tick()


INVOKING = Measurement(
    name="invoking",
    ratios=(
        Ratio(key="invoke_vs_raw_wasmtime", ours="invoke_per_s",
              ceiling="raw_wasmtime_per_s", target=0.15),
    ),
    units={
        "invoke_per_s": "instructions/s", "invoke_blocking_per_s": "instructions/s, one thread",
        "raw_wasmtime_per_s": "instances/s",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
