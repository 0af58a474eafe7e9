"""A component that imports WASI 0.2 gets what was granted, and a trap for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from data_sharing.runtimes.port import (
    Artifact,
    ArtifactKind,
    Capabilities,
    InvocationStatus,
    Limits,
)
from data_sharing.runtimes.wasm import WasmRuntime
from tests.support.wasm_guests import answering, asks, component

# handle answers with one hexadecimal digit of what the import under test gave.
TEXT = """(component
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-u64" (func (result u64)))))
  (type $wall (instance
    (type $d (record (field "seconds" u64) (field "nanoseconds" u32)))
    (export "datetime" (type $datetime (eq $d)))
    (export "now" (func (result $datetime)))))
  (import "wasi:clocks/wall-clock@0.2.0" (instance $clock (type $wall)))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $monotonic
    (export "now" (func (result u64)))))
  (import "wasi:cli/environment@0.2.0" (instance $environment
    (export "get-environment" (func (result (list (tuple string string)))))))
  (core module $memory
    (memory (export "memory") 2)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
  (core instance $m (instantiate $memory))
  (core func $random_u64 (canon lower (func $random "get-random-u64")))
  (core func $now (canon lower (func $clock "now") (memory (core memory $m "memory"))))
  (core func $ticks (canon lower (func $monotonic "now")))
  (core func $variables (canon lower (func $environment "get-environment")
    (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (core module $main
    (import "m" "memory" (memory 2))
    (import "i" "random" (func $random (result i64)))
    (import "i" "now" (func $now (param i32)))
    (import "i" "ticks" (func $ticks (result i64)))
    (import "i" "variables" (func $variables (param i32)))
    (func $asked (result i64) ASKED)
    (func (export "handle") (param i32 i32 i32 i32) (result i32)
      (i64.store (i32.const 64) (call $asked))
      (i32.store8 (i32.const 80)
        (i32.add (i32.const 48) (i32.and (i32.load (i32.const 64)) (i32.const 7))))
      (i32.store (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (i32.const 80))
      (i32.store (i32.const 24) (i32.const 1))
      (i32.const 16)))
  (core instance $i (instantiate $main (with "m" (instance $m)) (with "i" (instance
    (export "random" (func $random_u64)) (export "now" (func $now))
    (export "ticks" (func $ticks)) (export "variables" (func $variables))))))
  (func (export "handle") (param "action" string) (param "input" string)
    (result (result string (error string)))
    (canon lift (core func $i "handle") (memory (core memory $m "memory"))
      (realloc (core func $m "realloc")))))"""
# handle ends itself as the body says, or answers with the digit 7.
ENDING = """(component
  (import "wasi:cli/exit@0.2.3" (instance $exit
    (export "exit" (func (param "status" (result))))
    (export "exit-with-code" (func (param "status-code" u8)))))
  (core module $memory
    (memory (export "memory") 2) (data (i32.const 80) "7")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
  (core instance $m (instantiate $memory))
  (core func $exit (canon lower (func $exit "exit")))
  (core func $code (canon lower (func $exit "exit-with-code")))
  (core module $main
    (import "m" "memory" (memory 2))
    (import "i" "exit" (func $exit (param i32)))
    (import "i" "code" (func $code (param i32)))
    (func (export "handle") (param i32 i32 i32 i32) (result i32)
      BODY
      (i32.store (i32.const 20) (i32.const 80)) (i32.store (i32.const 24) (i32.const 1))
      (i32.const 16)))
  (core instance $i (instantiate $main (with "m" (instance $m)) (with "i" (instance
    (export "exit" (func $exit)) (export "code" (func $code))))))
  (func (export "handle") (param "action" string) (param "input" string)
    (result (result string (error string)))
    (canon lift (core func $i "handle") (memory (core memory $m "memory"))
      (realloc (core func $m "realloc")))))"""
NOTHING = "it gave no output; one JSON document is expected"
RANDOM = "(call $random)"
SECONDS = "(call $now (i32.const 96)) (i64.load (i32.const 96))"
TICKS = "(call $ticks)"
VARIABLES = "(call $variables (i32.const 112)) (i64.extend_i32_u (i32.load (i32.const 116)))"


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[WasmRuntime]:
    made = WasmRuntime(tmp_path)
    yield made
    made.close()


def asking(body: str) -> Artifact:
    return Artifact.of(ArtifactKind.COMPONENT, bytes(wat2wasm(TEXT.replace("ASKED", body))))


def digits(runtime: WasmRuntime, body: str, granted: Capabilities, times: int = 1) -> list[int]:
    """What it says, each time from a fresh instance: three bits as a number."""
    installed = runtime.install(asking(body), Limits(), granted)
    outcomes = [installed.invoke(asks()) for _ in range(times)]
    assert {outcome.status for outcome in outcomes} == {InvocationStatus.DONE}, outcomes[0]
    return [outcome.value for outcome in outcomes]


def test_randomness_is_one_sequence_until_granted(runtime: WasmRuntime) -> None:
    assert len(set(digits(runtime, RANDOM, Capabilities(), 40))) == 1
    assert len(set(digits(runtime, RANDOM, Capabilities(random=True), 40))) > 1


def test_the_wall_clock_stands_until_granted(runtime: WasmRuntime) -> None:
    assert digits(runtime, SECONDS, Capabilities()) == [1]
    since = "(i64.div_u (block (result i64) %s) (i64.const 1000000000))" % SECONDS  # noqa: UP031
    assert digits(runtime, since, Capabilities(clock=True)) == [1]  # until the year 2033
    assert digits(runtime, since, Capabilities()) == [0]


def test_only_granted_variables_are_there(runtime: WasmRuntime) -> None:
    assert digits(runtime, VARIABLES, Capabilities()) == [0]
    granted = Capabilities(environment=(("A", "1"), ("B", "2")))
    assert digits(runtime, VARIABLES, granted) == [2]


def test_what_is_not_there_traps_and_is_named(runtime: WasmRuntime) -> None:
    outcome = runtime.install(asking(TICKS)).invoke(asks())
    assert outcome.status is InvocationStatus.TRAPPED
    assert "wasi:clocks/monotonic-clock" in outcome.message


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("nop", InvocationStatus.DONE, ""),
        ("(call $exit (i32.const 0))", InvocationStatus.BAD_OUTPUT, NOTHING),
        ("(call $code (i32.const 0))", InvocationStatus.BAD_OUTPUT, NOTHING),
        ("(call $exit (i32.const 1))", InvocationStatus.FAILED, "it ended with exit code 1"),
        *(
            (f"(call $code (i32.const {code}))", InvocationStatus.FAILED,
             f"it ended with exit code {code}")
            for code in (1, 3, 125, 126, 130, 255)
        ),
        ("unreachable", InvocationStatus.TRAPPED, "trapped: wasm `unreachable`"),
    ],
)  # fmt: skip
def test_a_component_that_ends_itself_fails_with_its_code(
    runtime: WasmRuntime, body: str, status: InvocationStatus, message: str
) -> None:
    """And the next invocation knows nothing of it."""
    artifact = Artifact.of(ArtifactKind.COMPONENT, bytes(wat2wasm(ENDING.replace("BODY", body))))
    installed = runtime.install(artifact)
    for _ in range(3):
        outcome = installed.invoke(asks())
        assert outcome.status is status, outcome
        assert outcome.message.startswith(message)
        assert outcome.output == ("7" if status is InvocationStatus.DONE else "")
    assert digits(runtime, RANDOM, Capabilities())


def test_exit_codes_of_many_components_at_once_are_not_mixed_up(runtime: WasmRuntime) -> None:
    codes = [*range(1, 21)] * 5

    def ending(code: int) -> Artifact:
        body = f"(call $code (i32.const {code}))"
        return Artifact.of(ArtifactKind.COMPONENT, bytes(wat2wasm(ENDING.replace("BODY", body))))

    installed = {code: runtime.install(ending(code)) for code in set(codes)}
    with ThreadPoolExecutor(8) as threads:
        outcomes = threads.map(lambda code: installed[code].invoke(asks()), codes)
        said = [outcome.message for outcome in outcomes]
    assert said == [f"it ended with exit code {code}" for code in codes]


@pytest.mark.parametrize("size", [99, 100, 101, 10_000])
def test_output_of_a_component_is_bounded_too(runtime: WasmRuntime, size: int) -> None:
    """Of an answer, and of what it says of its failure."""
    limits, text = Limits(output_bytes=100), "x" * (size - 2)
    done = runtime.install(component(answering(0)), limits).invoke(asks(text))
    failed = runtime.install(component(answering(1)), limits).invoke(asks(text))
    if size <= limits.output_bytes:
        assert (done.status, done.value) == (InvocationStatus.DONE, text)
    else:
        assert done.status is InvocationStatus.BAD_OUTPUT
        assert done.message == "its output is larger than 100 bytes"
    assert failed.status is InvocationStatus.FAILED
    assert failed.message == f'"{text}"'[:100]
