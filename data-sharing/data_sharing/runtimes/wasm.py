"""The WebAssembly runtime: wasmtime, one engine, a fresh instance per invocation.

Compiling happens at install and is kept on disk; invoking links nothing and compiles nothing.
What isolates is wasm's own memory model plus what is not linked; what bounds is fuel, the
epoch (see watch) and the store's limits. docs/decisions/0012-runtimes.md tells the holes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wasmtime import (
    Config,
    Engine,
    Func,
    Memory,
    Module,
    Store,
    Trap,
    WasmtimeError,
)
from wasmtime.component import Component

from control_plane.errors import InvalidInput
from data_sharing.runtimes import preview1, preview2
from data_sharing.runtimes.compiled import CompiledCache
from data_sharing.runtimes.limits_watch import EpochTicker, LimitsWatch
from data_sharing.runtimes.output import OutputBuffer, StderrTail, command_input, read
from data_sharing.runtimes.port import (
    Artifact,
    ArtifactKind,
    Capabilities,
    Invocation,
    InvocationStatus,
    Limits,
    Outcome,
)

SETTINGS = "epoch fuel nothreads nogc 1"  # change it with _engine(): it names compiled code
UNBOUNDED_FUEL = 2**63
TABLE_ELEMENTS = 100_000  # of one table, 8 bytes each; CPython has 7,688
INSTANCES = 100  # core instances of one component; componentize-py makes some twenty
MEMORIES = 4  # of one component, each within memory_bytes; a command has one
OUT_OF_MEMORY_WORDS = ("memory allocation of", "MemoryError", "out of memory", "OutOfMemory")


def _engine() -> Engine:
    config = Config()
    config.epoch_interruption = True
    config.consume_fuel = True
    config.wasm_threads = False
    config.wasm_multi_memory = False
    config.wasm_gc = False  # its heap would be memory beside the limited one
    return Engine(config)


class WasmRuntime:
    """Runs WASI commands and components. Close it when no invocation runs any more."""

    def __init__(self, cache_folder: Path) -> None:
        self._engine = _engine()
        self._ticker = EpochTicker(self._engine)
        self._cache = CompiledCache(cache_folder, SETTINGS)

    def install(
        self,
        artifact: Artifact,
        limits: Limits = Limits(),  # noqa: B008, frozen
        capabilities: Capabilities = Capabilities(),  # noqa: B008, frozen
    ) -> InstalledWasm:
        """See Runtime.install. Of a component, files cannot be granted."""
        for grant in capabilities.files:
            if artifact.kind is ArtifactKind.COMPONENT:
                raise InvalidInput(
                    "capabilities.files", "files are granted to WASI commands and processes only"
                )
            if not os.path.isdir(grant.host_path):
                raise InvalidInput(
                    "capabilities.files", f"the granted folder {grant.host_path} does not exist"
                )
        try:
            if artifact.kind is ArtifactKind.WASI_COMMAND:
                return self._command(artifact, limits, capabilities)
            if artifact.kind is ArtifactKind.COMPONENT:
                return self._component(artifact, limits, capabilities)
        except WasmtimeError as error:
            raise InvalidInput(
                "runtime.artifact", f"not a usable {artifact.kind}: {_first_line(error)}"
            ) from None
        raise InvalidInput("runtime.kind", f"{artifact.kind} does not run on WebAssembly")

    def close(self) -> None:
        """Stops the epoch's thread."""
        self._ticker.close()

    def _compiled(self, artifact: Artifact, compile_it: Callable[[], bytes]) -> Path:
        if not artifact.content.startswith(b"\0asm"):  # wasmtime would take text as well
            raise InvalidInput("runtime.artifact", "the artifact is not a WebAssembly binary")
        return self._cache.get(artifact.kind, artifact.sha256, compile_it)

    def _command(
        self, artifact: Artifact, limits: Limits, capabilities: Capabilities
    ) -> InstalledCommand:
        engine = self._engine
        code = self._compiled(artifact, lambda: bytes(Module(engine, artifact.content).serialize()))
        module = Module.deserialize_file(engine, str(code))
        if "_start" not in {export.name for export in module.exports}:
            raise InvalidInput(
                "runtime.artifact", "the command has no _start; build it as a WASI command"
            )
        pre = preview1.linker(engine, capabilities).instantiate_pre(module)
        return InstalledCommand(artifact, limits, capabilities, engine, self._ticker, pre)

    def _component(
        self, artifact: Artifact, limits: Limits, capabilities: Capabilities
    ) -> InstalledComponent:
        engine = self._engine
        code = self._compiled(
            artifact, lambda: bytes(Component(engine, artifact.content).serialize())
        )
        component = Component.deserialize_file(engine, str(code))
        if component.get_export_index("handle") is None:
            raise InvalidInput(
                "runtime.artifact",
                "the component does not export `handle`; build it for the world "
                "homeport:application/application",
            )
        linker = preview2.linker(engine, component, capabilities)
        linked = (linker, component)
        return InstalledComponent(artifact, limits, capabilities, engine, self._ticker, linked)


class InstalledWasm:
    """One application, compiled and linked."""

    memories = 1

    def __init__(
        self,
        artifact: Artifact,
        limits: Limits,
        capabilities: Capabilities,
        engine: Engine,
        ticker: EpochTicker,
        linked: Any,
    ) -> None:
        self.artifact, self.limits = artifact, limits
        self._capabilities, self._engine, self._ticker = capabilities, engine, ticker
        self._linked = linked

    def invoke(self, invocation: Invocation) -> Outcome:
        """See Installed.invoke."""
        limits = self.limits
        if len(invocation.input) > limits.input_bytes:
            return Outcome(
                status=InvocationStatus.REFUSED,
                message=f"the input is larger than {limits.input_bytes} bytes",
            )
        watch = LimitsWatch(limits.cpu_s, limits.wall_s)
        store = Store(self._engine)
        store.set_limits(limits.memory_bytes, TABLE_ELEMENTS, INSTANCES, INSTANCES, self.memories)
        store.set_fuel(limits.fuel or UNBOUNDED_FUEL)
        number = self._ticker.begin(store, watch)
        try:
            status, outcome = self._run(store, watch, invocation)
        finally:
            self._ticker.end(number)
            store.close()
        return Outcome(
            status=status,
            output=outcome.output,
            value=outcome.value,
            message=outcome.message,
            stderr_tail=outcome.stderr_tail,
            cpu_s=watch.cpu_used_s(),
            wall_s=watch.wall_used_s(),
        )

    def _run(
        self, store: Store, watch: LimitsWatch, invocation: Invocation
    ) -> tuple[InvocationStatus, Outcome]:
        raise NotImplementedError

    def _stopped(
        self, error: Exception, watch: LimitsWatch, stderr: str, memory_bytes: int
    ) -> tuple[InvocationStatus, Outcome]:
        """What an error means that ended the run."""
        text = str(error)
        if watch.overflowed:
            status, message = InvocationStatus.BAD_OUTPUT, self._too_much()
        elif watch.reason:
            status, message = InvocationStatus.TIMED_OUT, f"stopped: {watch.reason}"
        elif "all fuel consumed" in text:
            status, message = (
                InvocationStatus.TIMED_OUT,
                f"stopped: it used its fuel of {self.limits.fuel}",
            )
        elif (
            "memory limit" in text
            or memory_bytes * 2 > self.limits.memory_bytes
            or any(word in stderr for word in OUT_OF_MEMORY_WORDS)
        ):
            # A failed memory.grow is only a -1 to the guest; what it does then looks like any
            # other trap. More than half in use, or its own words, tell.
            status = InvocationStatus.OUT_OF_MEMORY
            message = f"it needed more than its {self.limits.memory_bytes} bytes of memory"
        else:
            status, message = InvocationStatus.TRAPPED, _why(text)
        return status, Outcome(status=status, message=message, stderr_tail=stderr)

    def _too_much(self) -> str:
        return f"its output is larger than {self.limits.output_bytes} bytes"


class InstalledCommand(InstalledWasm):
    """A WASI preview-1 command."""

    def _run(
        self, store: Store, watch: LimitsWatch, invocation: Invocation
    ) -> tuple[InvocationStatus, Outcome]:
        printed, tail = OutputBuffer(self.limits.output_bytes, watch), StderrTail()
        memory: Any = None
        try:
            store.set_wasi(
                preview1.configuration(
                    command_input(invocation), self._capabilities, printed.write, tail.write
                )
            )
            exports = self._linked.instantiate(store).exports(store)
            memory = exports.get("memory")
            start = exports["_start"]
            assert isinstance(start, Func)
            start(store)
        except (WasmtimeError, Trap) as error:
            code = preview1.exit_code(error)
            if code is None:
                used = memory.data_len(store) if isinstance(memory, Memory) else 0
                return self._stopped(error, watch, tail.text(), used)
            if code != 0 and not watch.overflowed:
                return _failed(code, tail.text())
        if watch.overflowed:
            bad = Outcome(
                status=InvocationStatus.BAD_OUTPUT,
                message=self._too_much(),
                stderr_tail=tail.text(),
            )
            return bad.status, bad
        outcome = read(printed.content(), self.limits.output_bytes, tail.text())
        return outcome.status, outcome


class InstalledComponent(InstalledWasm):
    """A component that exports `handle`."""

    memories = MEMORIES

    def _run(
        self, store: Store, watch: LimitsWatch, invocation: Invocation
    ) -> tuple[InvocationStatus, Outcome]:
        linker, component = self._linked
        try:
            instance = linker.instantiate(store, component)
            handle = instance.get_func(store, "handle")
            answer = handle(store, invocation.action, invocation.input)
        except (WasmtimeError, Trap) as error:
            code = preview1.exit_code(error)
            if code is None:
                return self._stopped(error, watch, "", 0)
            if code != 0:
                return _failed(code, "")
            outcome = read(b"", self.limits.output_bytes)  # it ended before it answered
            return outcome.status, outcome
        except (TypeError, AttributeError, UnicodeError) as error:
            # It exports another `handle` than the world says.
            message = f"its `handle` is not that of homeport:application: {error}"
            return InvocationStatus.TRAPPED, Outcome(
                status=InvocationStatus.TRAPPED, message=message
            )
        tag, payload = getattr(answer, "tag", None), getattr(answer, "payload", answer)
        if tag == "ok" and isinstance(payload, str):
            outcome = read(payload.encode(), self.limits.output_bytes)
            return outcome.status, outcome
        message = str(payload)[: self.limits.output_bytes]
        memory = message.startswith("MemoryError")  # as `homeport apps build` has Python say it
        status = InvocationStatus.OUT_OF_MEMORY if memory else InvocationStatus.FAILED
        return status, Outcome(status=status, message=message or "it failed and did not say why")


def _failed(code: int, stderr: str) -> tuple[InvocationStatus, Outcome]:
    """A guest that ended itself with a code other than 0."""
    status, message = InvocationStatus.FAILED, f"it ended with exit code {code}"
    return status, Outcome(status=status, message=message, stderr_tail=stderr)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _why(text: str) -> str:
    """The cause, at the end of wasmtime's message, without the backtrace."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return f"trapped: {lines[-1].removeprefix('wasm trap: ')}" if lines else "trapped"
