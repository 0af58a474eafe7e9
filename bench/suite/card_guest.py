"""An application in WebAssembly text that answers whatever it is sent with a card, in as little
time as one can: it finds the conversation and the message in its input and prints the rest.

The sample applications would take a minute to be built, and their own time to start.
"""

from __future__ import annotations

import json

from wasmtime import wat2wasm

NAME = "kiosk"
CARD = {
    "type": "AdaptiveCard",
    "version": "1.5",
    "body": [{"type": "TextBlock", "text": "Today there is this.", "wrap": True}],
    "actions": [{"type": "Action.Submit", "id": "more", "title": "More", "data": {"sku": "y"}}],
}
_TEXTS_AT, _INPUT_AT, _INPUT_BYTES, _OUTPUT_AT = 1_024, 8_192, 49_152, 65_536
# Its input is JSON in which ids stand in quotes behind their names, and have no quotes within.
_CODE = f"""
  (global $end (mut i32) (i32.const {_INPUT_AT}))
  (global $out (mut i32) (i32.const {_OUTPUT_AT}))
  (func $read_all
    (loop $more
      (i32.store (i32.const 0) (global.get $end))
      (i32.store (i32.const 4) (i32.sub (i32.const {_INPUT_AT + _INPUT_BYTES}) (global.get $end)))
      (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (global.set $end (i32.add (global.get $end) (i32.load (i32.const 8))))
      (br_if $more (i32.load (i32.const 8)))))
  (func $print (param $from i32) (param $size i32)
    (memory.copy (global.get $out) (local.get $from) (local.get $size))
    (global.set $out (i32.add (global.get $out) (local.get $size))))
  (func $same (param $one i32) (param $other i32) (param $size i32) (result i32)
    (loop $next
      (if (i32.eqz (local.get $size)) (then (return (i32.const 1))))
      (local.set $size (i32.sub (local.get $size) (i32.const 1)))
      (br_if $next (i32.eq
        (i32.load8_u (i32.add (local.get $one) (local.get $size)))
        (i32.load8_u (i32.add (local.get $other) (local.get $size))))))
    (i32.const 0))
  (func $quote (param $at i32) (result i32)
    (loop $next
      (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 34))
        (then (local.set $at (i32.add (local.get $at) (i32.const 1))) (br $next))))
    (local.get $at))
  (func $print_value (param $name i32) (param $size i32) (local $at i32)
    (local.set $at (i32.const {_INPUT_AT}))
    (loop $next
      (if (i32.ge_u (local.get $at) (global.get $end)) (then unreachable))
      (if (i32.eqz (call $same (local.get $at) (local.get $name) (local.get $size)))
        (then (local.set $at (i32.add (local.get $at) (i32.const 1))) (br $next))))
    (local.set $at (i32.add (i32.const 1)
      (call $quote (i32.add (local.get $at) (local.get $size)))))
    (call $print (local.get $at) (i32.sub (call $quote (local.get $at)) (local.get $at))))
"""


def card_guest() -> bytes:
    """The artifact."""
    texts = bytearray()

    def piece(text: str) -> str:
        at = _TEXTS_AT + len(texts)
        texts.extend(text.encode())
        return f"(i32.const {at}) (i32.const {len(text.encode())})"

    steps = (
        ("print", '{"schema":"homeport.communicant.reply/1","messages":[{"conversation":"'),
        ("print_value", '"conversation"'),
        ("print", '","text":"Today there is this.","in_reply_to":"'),
        ("print_value", '"message"'),
        ("print", f'","card":{json.dumps(CARD)}}}]}}'),
    )
    body = "".join(f"(call ${what} {piece(text)})" for what, text in steps)
    data = "".join(f"\\{byte:02x}" for byte in texts)
    wasi, one = "wasi_snapshot_preview1", "(param i32 i32 i32 i32) (result i32)"
    return bytes(
        wat2wasm(
            f'(module (import "{wasi}" "fd_read" (func $fd_read {one}))'
            f'(import "{wasi}" "fd_write" (func $fd_write {one}))'
            f'(memory (export "memory") 2) (data (i32.const {_TEXTS_AT}) "{data}") {_CODE}'
            f'(func (export "_start") (call $read_all) {body}'
            f"(i32.store (i32.const 0) (i32.const {_OUTPUT_AT}))"
            f"(i32.store (i32.const 4) (i32.sub (global.get $out) (i32.const {_OUTPUT_AT})))"
            "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"
        )
    )


def card_manifest() -> str:
    """Of the application, as JSON, which is YAML."""
    actions = [
        {
            "name": name,
            "description": "Answers with a card.",
            "input": {"type": "object"},
            "output": {"type": "object", "required": ["schema", "messages"]},
            "sample": {"conversation": "c1", "message": "m1"},
            "idempotent": True,
        }
        for name in ("greet", "serve")
    ]
    runtime = {
        "kind": "wasi-command",
        "artifact": "application.wasm",
        "limits": {"cpu_s": 2, "wall_s": 10},
    }
    return json.dumps(
        {
            "application": NAME,
            "version": "1.0.0",
            "description": "Answers with cards.",
            "actions": actions,
            "answers": {"message": "greet", "click": "serve"},
            "runtime": runtime,
        }
    )
