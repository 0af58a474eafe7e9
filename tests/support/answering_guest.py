"""A roastery in WebAssembly text: it answers messages with a card and presses with an order, as the
sample application does, and is ready in milliseconds, where that one takes a minute to be built and
compiled."""

from __future__ import annotations

import json

from tests.support.wasm_guests import wat

ORDERED = "Ordered."
CARD = {
    "type": "AdaptiveCard",
    "version": "1.5",
    "body": [{"type": "Input.Number", "id": "amount", "label": "Bags", "min": 1, "max": 9}],
    "actions": [{"type": "Action.Submit", "id": "order", "title": "Order", "data": {"sku": "y"}}],
}
_INPUT, _INPUT_BYTES, _OUTPUT = 8_192, 49_152, 65_536
_CODE = f"""
  (global $end (mut i32) (i32.const {_INPUT}))
  (global $out (mut i32) (i32.const {_OUTPUT}))
  (func $read
    (loop $more
      (i32.store (i32.const 0) (global.get $end))
      (i32.store (i32.const 4)
        (i32.sub (i32.const {_INPUT + _INPUT_BYTES}) (global.get $end)))
      (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (global.set $end (i32.add (global.get $end) (i32.load (i32.const 8))))
      (br_if $more (i32.load (i32.const 8)))))
  (func $is (param $at i32) (param $text i32) (param $size i32) (result i32)
    (loop $next
      (if (i32.eqz (local.get $size)) (then (return (i32.const 1))))
      (if (i32.ne (i32.load8_u (local.get $at)) (i32.load8_u (local.get $text)))
        (then (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $text (i32.add (local.get $text) (i32.const 1)))
      (local.set $size (i32.sub (local.get $size) (i32.const 1)))
      (br $next))
    unreachable)
  (func $behind (param $text i32) (param $size i32) (result i32) (local $at i32)
    (local.set $at (i32.const {_INPUT}))
    (loop $next
      (if (i32.ge_u (local.get $at) (global.get $end)) (then (return (i32.const 0))))
      (if (call $is (local.get $at) (local.get $text) (local.get $size))
        (then (return (i32.add (local.get $at) (local.get $size)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next))
    unreachable)
  (func $put (param $at i32) (param $size i32)
    (memory.copy (global.get $out) (local.get $at) (local.get $size))
    (global.set $out (i32.add (global.get $out) (local.get $size))))
  (func $quote (param $at i32) (result i32)
    (loop $next
      (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 34))
        (then (local.set $at (i32.add (local.get $at) (i32.const 1))) (br $next))))
    (local.get $at))
  (func $put_value (param $name i32) (param $size i32) (local $from i32)
    (local.set $from (i32.add (i32.const 1)
      (call $quote (call $behind (local.get $name) (local.get $size)))))
    (call $put (local.get $from)
      (i32.sub (call $quote (local.get $from)) (local.get $from))))
"""


def answering_guest() -> bytes:
    """A command that reads what an action is given and prints a reply: an order where there is a
    press in it, a card otherwise."""
    texts = bytearray()

    def piece(text: str) -> str:
        at = 1_024 + len(texts)
        texts.extend(text.encode())
        return f"(i32.const {at}) (i32.const {len(text.encode())})"

    def put(text: str) -> str:
        return f"(call $put {piece(text)})"

    def put_value(name: str) -> str:
        return f"(call $put_value {piece(json.dumps(name))})"

    head = '{"schema":"homeport.communicant.reply/1","messages":[{"conversation":"'
    order = put(f'","text":"{ORDERED}","replaces":"') + put_value("message") + put('"}]}')
    offer = (
        put('","text":"Today there is this.","in_reply_to":"')
        + put_value("message")
        + put(f'","card":{json.dumps(CARD)}}}]}}')
    )
    body = (
        f"(call $read) {put(head)} {put_value('conversation')}"
        f"(if (call $behind {piece(json.dumps('press'))}) (then {order}) (else {offer}))"
        f"(i32.store (i32.const 0) (i32.const {_OUTPUT}))"
        f"(i32.store (i32.const 4) (i32.sub (global.get $out) (i32.const {_OUTPUT})))"
        "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
    )
    return wat(body, bytes(texts), _CODE)


def answering_manifest(version: str = "1.0.0") -> str:
    """Of an application `roastery` that it is, as YAML."""
    answer = {"type": "object", "required": ["schema", "messages"]}
    return json.dumps(
        {
            "application": "roastery",
            "version": version,
            "description": "Sells coffee in a conversation.",
            "actions": [
                {
                    "name": name,
                    "description": said,
                    "input": {"type": "object"},
                    "output": answer,
                    "sample": sample,
                    "idempotent": True,
                }
                for name, said, sample in (
                    ("offer", "Answers a message.", {"conversation": "c1", "message": "m1"}),
                    (
                        "order",
                        "Answers a press.",
                        {"conversation": "c1", "message": "m1", "press": "p1"},
                    ),
                )
            ],
            "answers": {"message": "offer", "click": "order"},
            "runtime": {
                "kind": "wasi-command",
                "artifact": "application.wasm",
                "limits": {"cpu_s": 2, "wall_s": 10},
            },
        }
    )
