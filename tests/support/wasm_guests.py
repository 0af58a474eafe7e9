"""Small guests in WebAssembly text: one behaviour each, most of them bad."""

from __future__ import annotations

import json

from wasmtime import wat2wasm

from data_sharing.runtimes.port import Artifact, ArtifactKind, Invocation

IMPORTS = {
    "fd_write": "(param i32 i32 i32 i32) (result i32)",
    "fd_read": "(param i32 i32 i32 i32) (result i32)",
    "clock_time_get": "(param i32 i64 i32) (result i32)",
    "random_get": "(param i32 i32) (result i32)",
    "poll_oneoff": "(param i32 i32 i32 i32) (result i32)",
    "environ_sizes_get": "(param i32 i32) (result i32)",
    "fd_prestat_get": "(param i32 i32) (result i32)",
    "sock_accept": "(param i32 i32 i32) (result i32)",
    "proc_exit": "(param i32)",
}
LOOP = "(loop $l (br $l))"
BOMB = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable"


def wat(body: str, data: bytes = b"", more: str = "") -> bytes:
    """A command whose _start is `body`, with `data` at 1024; memory of 2 pages."""
    imports = "".join(
        f'(import "wasi_snapshot_preview1" "{name}" (func ${name} {signature}))'
        for name, signature in IMPORTS.items()
        if f"${name}" in body + more
    )
    text = "".join(f"\\{byte:02x}" for byte in data)
    return bytes(
        wat2wasm(
            f'(module {imports} (memory (export "memory") 2) (data (i32.const 1024) "{text}")'
            f'{more} (func (export "_start") {body}))'
        )
    )


def prints(data: bytes, descriptor: int = 1) -> str:
    """The body that prints `data`, which lies at 1024."""
    return (
        "(i32.store (i32.const 0) (i32.const 1024))"
        f"(i32.store (i32.const 4) (i32.const {len(data)}))"
        f"(drop (call $fd_write (i32.const {descriptor}) (i32.const 0)"
        " (i32.const 1) (i32.const 8)))"
    )


def printing(data: bytes, descriptor: int = 1) -> bytes:
    """A command that prints and ends."""
    return wat(prints(data, descriptor), data)


def printing_forever(descriptor: int = 1) -> bytes:
    """A command that prints 64 KiB at a time and looks at no result."""
    body = (
        "(i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (i32.const 65536))"
        f"(loop $l (drop (call $fd_write (i32.const {descriptor}) (i32.const 0)"
        " (i32.const 1) (i32.const 8))) (br $l))"
    )
    return wat(body)


def telling(call: str) -> bytes:
    """A command that prints, as hex digits in a JSON string, the 4-byte result of `call` and
    the 8 bytes at 512."""
    hexed = (
        "(global $at (mut i32) (i32.const 2049))"
        "(func $digit (param i32) (i32.store8 (global.get $at)"
        " (i32.load8_u (i32.add (i32.const 1024) (i32.and (local.get 0) (i32.const 15)))))"
        " (global.set $at (i32.add (global.get $at) (i32.const 1))))"
        "(func $byte (param i32) (call $digit (i32.shr_u (local.get 0) (i32.const 4)))"
        " (call $digit (local.get 0)))"
    )
    body = (
        f"(i32.store (i32.const 508) {call})"
        + "".join(f"(call $byte (i32.load8_u (i32.const {at})))" for at in range(508, 520))
        + "(i32.store8 (i32.const 2048) (i32.const 34))"
        "(i32.store8 (global.get $at) (i32.const 34))"
        "(i32.store (i32.const 0) (i32.const 2048)) (i32.store (i32.const 4) (i32.const 26))"
        "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
    )
    return wat(body, b"0123456789abcdef", hexed)


def told(value: object) -> tuple[int, bytes]:
    """What `telling` found: the result and the 8 bytes."""
    assert isinstance(value, str)
    raw = bytes.fromhex(value)
    return int.from_bytes(raw[:4], "little"), raw[4:]


def command(content: bytes) -> Artifact:
    """As an artifact."""
    return Artifact.of(ArtifactKind.WASI_COMMAND, content)


def component(body: str, more: str = "") -> Artifact:
    """A component of our world whose `handle` is `body`, which leaves the address of its
    result: three words at 16 (0 ok or 1 err, address, length)."""
    text = f"""(component
      (core module $m
        (memory (export "memory") 2)
        (global $top (mut i32) (i32.const 4096))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
          (global.get $top)
          (global.set $top (i32.add (global.get $top) (local.get 3)))
          (drop (memory.grow (i32.div_u (local.get 3) (i32.const 32768)))))
        {more}
        (func (export "handle") (param i32 i32 i32 i32) (result i32) {body}))
      (core instance $i (instantiate $m))
      (func (export "handle") (param "action" string) (param "input" string)
        (result (result string (error string)))
        (canon lift (core func $i "handle") (memory (core memory $i "memory"))
          (realloc (core func $i "realloc")))))"""
    return Artifact.of(ArtifactKind.COMPONENT, bytes(wat2wasm(text)))


def answering(tag: int) -> str:
    """The body that gives its input back, as ok (0) or err (1)."""
    return (
        f"(i32.store (i32.const 16) (i32.const {tag})) (i32.store (i32.const 20) (local.get 2))"
        "(i32.store (i32.const 24) (local.get 3)) (i32.const 16)"
    )


def asks(value: object = None) -> Invocation:
    """An invocation with this input."""
    return Invocation(action="act", input=json.dumps(value), key="k-1")
