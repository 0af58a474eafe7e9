"""Commands and components run afresh each time, with nothing but what was granted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput
from data_sharing.runtimes.port import (
    Artifact,
    ArtifactKind,
    Capabilities,
    FileGrant,
    InvocationStatus,
    Limits,
)
from data_sharing.runtimes.wasm import WasmRuntime
from tests.support.wasm_guests import (
    LOOP,
    answering,
    asks,
    command,
    component,
    printing,
    telling,
    told,
    wat,
)

CLOCK = "(call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 512))"
RANDOM = "(call $random_get (i32.const 512) (i32.const 8))"
ENVIRONMENT = "(call $environ_sizes_get (i32.const 512) (i32.const 516))"
FILES = "(call $fd_prestat_get (i32.const 3) (i32.const 512))"
SLEEP = "(call $poll_oneoff (i32.const 600) (i32.const 700) (i32.const 1) (i32.const 512))"
SOCKET = "(call $sock_accept (i32.const 3) (i32.const 0) (i32.const 512))"
NOTHING = bytes(8)
STOPPED = (10**9).to_bytes(8, "little")
BAD_DESCRIPTOR, NOT_SUPPORTED = 8, 58


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[WasmRuntime]:
    made = WasmRuntime(tmp_path / "cache")
    yield made
    made.close()


def tells(runtime: WasmRuntime, call: str, granted: Capabilities) -> tuple[int, bytes]:
    outcome = runtime.install(command(telling(call)), Limits(), granted).invoke(asks())
    assert outcome.status is InvocationStatus.DONE, outcome
    return told(outcome.value)


def test_a_component_gets_its_input_and_gives_its_output(runtime: WasmRuntime) -> None:
    installed = runtime.install(component(answering(0)))
    assert installed.invoke(asks({"minutes": 20})).value == {"minutes": 20}


def test_each_invocation_finds_fresh_memory(runtime: WasmRuntime) -> None:
    count = (
        "(i32.store8 (i32.const 1024) (i32.add (i32.load8_u (i32.const 1024)) (i32.const 1)))"
        "(i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 1))"
        "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
    )
    installed = runtime.install(command(wat(count, b"0")))
    assert [installed.invoke(asks()).value for _ in range(3)] == [1, 1, 1]


def test_without_a_grant_there_is_nothing(runtime: WasmRuntime) -> None:
    none = Capabilities()
    assert tells(runtime, CLOCK, none) == (0, STOPPED)
    assert tells(runtime, RANDOM, none) == tells(runtime, RANDOM, none)
    assert tells(runtime, ENVIRONMENT, none) == (0, NOTHING)
    assert tells(runtime, FILES, none)[0] == BAD_DESCRIPTOR
    assert tells(runtime, SOCKET, none)[0] == BAD_DESCRIPTOR


def test_with_a_grant_there_is_what_was_granted(runtime: WasmRuntime, tmp_path: Path) -> None:
    granted = Capabilities(
        clock=True,
        random=True,
        environment=(("A", "1"),),
        files=(FileGrant(host_path=str(tmp_path), guest_path="/data"),),
    )
    assert tells(runtime, CLOCK, granted)[1] != STOPPED
    assert tells(runtime, RANDOM, granted) != tells(runtime, RANDOM, granted)
    assert tells(runtime, ENVIRONMENT, granted)[1] == bytes([1, 0, 0, 0, 4, 0, 0, 0])
    assert tells(runtime, FILES, granted)[0] == 0


@pytest.mark.parametrize("granted", [Capabilities(), Capabilities(clock=True)])
def test_nobody_sleeps_in_the_host(runtime: WasmRuntime, granted: Capabilities) -> None:
    assert tells(runtime, SLEEP, granted)[0] == NOT_SUPPORTED


def test_an_address_beyond_memory_is_an_error_to_the_guest(runtime: WasmRuntime) -> None:
    call = "(call $random_get (i32.const -4) (i32.const 8))"
    assert tells(runtime, call, Capabilities())[0] == 21


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        pytest.param(ArtifactKind.WASI_COMMAND, b"#!/bin/sh", "not a WebAssembly binary",
                     id="a-script"),
        pytest.param(ArtifactKind.WASI_COMMAND, b"(module)", "not a WebAssembly binary",
                     id="text"),
        pytest.param(ArtifactKind.WASI_COMMAND, printing(b"1")[:40], "not a usable",
                     id="truncated"),
        pytest.param(ArtifactKind.COMPONENT, printing(b"1"), "not a usable",
                     id="a-command-called-a-component"),
        pytest.param(ArtifactKind.WASI_COMMAND, component(answering(0)).content, "not a usable",
                     id="a-component-called-a-command"),
        pytest.param(ArtifactKind.COMPONENT, b"\0asm\x0d\0\1\0", "does not export `handle`",
                     id="an-empty-component"),
    ],
)  # fmt: skip
def test_what_is_not_what_it_says_is_not_installed(
    runtime: WasmRuntime, kind: ArtifactKind, content: bytes, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        runtime.install(Artifact.of(kind, content))


def test_an_unknown_import_is_named(runtime: WasmRuntime) -> None:
    from wasmtime import wat2wasm

    content = bytes(wat2wasm('(module (import "env" "open" (func)) (func (export "_start")))'))
    with pytest.raises(InvalidInput, match="env::open"):
        runtime.install(command(content))


def test_a_sha256_that_differs_is_refused() -> None:
    with pytest.raises(InvalidInput, match="SHA-256"):
        Artifact.of(ArtifactKind.COMPONENT, b"x", "0" * 64)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda code: code[:-7], id="truncated"),
        pytest.param(lambda code: code[:900] + bytes([code[900] ^ 1]) + code[901:], id="one-bit"),
        pytest.param(lambda code: b"", id="empty"),
    ],
)
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    artifact = command(printing(b"5"))
    for _ in range(2):
        runtime = WasmRuntime(tmp_path)
        assert runtime.install(artifact).invoke(asks()).value == 5
        runtime.close()
        (entry,) = tmp_path.glob("*.compiled")
        code = entry.read_bytes()
        assert sha256(code).hexdigest() in entry.name
        # A new file: the old one may still be mapped.
        entry.unlink()
        entry.write_bytes(damage(code))


def test_installed_again_nothing_is_compiled(tmp_path: Path) -> None:
    artifact = command(wat(LOOP))
    for _ in range(2):
        runtime = WasmRuntime(tmp_path)
        runtime.install(artifact)
        runtime.close()
        (entry,) = tmp_path.glob("*.compiled")
        marked = entry.stat().st_mtime_ns, entry.stat().st_ino
        # An entry that is read and not written keeps its file.
        runtime = WasmRuntime(tmp_path)
        runtime.install(artifact)
        runtime.close()
        assert (entry.stat().st_mtime_ns, entry.stat().st_ino) == marked
