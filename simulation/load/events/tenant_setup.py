"""What a load with events brings along for its tenant: two applications, rules, event plans. Pure.

`load-users` produces the one feed; `load-effects` performs the one action, a command that prints an
answer and ends. What is measured is the way there and back, not the action.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from simulation.load.events.event_kinds import EventKind

FEED = "load.user.activity"
PRODUCER = "load-users"
APPLICATION = "load-effects"
ACTION = "note"
PLAN_NAME = "load"
CHANGING_RULE = "load-change"
COMMAND_TEXT = r"""
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\14\00\00\00{\"performed\":\"note\"}")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))))
"""
COMMAND = bytes.fromhex(
    "0061736d01000000010c0260047f7f7f7f017f60000002230116776173695f736e617073686f745f"
    "70726576696577310866645f77726974650000030201010503010001071302066d656d6f72790200"
    "065f737461727400010a0f010d00410141004101412010001a0b0b22010041000b1c080000001400"
    "00007b22706572666f726d6564223a226e6f7465227d000f046e616d6501080100057772697465"
)
"""The same, assembled."""


def producer_manifest() -> str:
    """Of the application that all users publish as."""
    return json.dumps(
        {
            "application": PRODUCER,
            "version": "1.0.0",
            "description": "Users of a load test; what they do.",
            "produces": [
                {
                    "type": FEED,
                    "key": "/subject",
                    "schema": {
                        "type": "object",
                        "required": ["does", "step"],
                        "additionalProperties": False,
                        "properties": {
                            "does": {"type": "string", "maxLength": 32},
                            "country": {"type": "string", "maxLength": 2},
                            "step": {"type": "integer", "minimum": 0},
                        },
                    },
                    "samples": [
                        {
                            "subject": "somebody",
                            "data": {"does": "quiet", "country": "GB", "step": 1},
                        }
                    ],
                    "shared_with": "everyone",
                }
            ],
        }
    )


def effects_manifest() -> str:
    """Of the application that performs."""
    return json.dumps(
        {
            "application": APPLICATION,
            "version": "1.0.0",
            "description": "Performs what users of a load test lead to.",
            "actions": [
                {
                    "name": ACTION,
                    "description": "Answers, and does nothing.",
                    "input": {"type": "object", "properties": {"step": {"type": "integer"}}},
                    "output": {
                        "type": "object",
                        "required": ["performed"],
                        "properties": {"performed": {"const": ACTION}},
                    },
                    "sample": {"step": 1},
                    "idempotent": True,
                }
            ],
            "runtime": {
                "kind": "wasi-command",
                "artifact": "effects.wasm",
                "limits": {"cpu_s": 0.5, "wall_s": 2, "memory_bytes": 16777216},
            },
        }
    )


def does(kind: EventKind, rule: int) -> str:
    """What an event says that its user does; rules ask for it."""
    return f"{kind.word}-{rule}" if kind is EventKind.INVOKING else kind.word


def rule_names(count: int) -> list[str]:
    """Of all rules, where `count` invoke."""
    return [*(f"load-invoke-{number}" for number in range(count)), CHANGING_RULE]


def rules_document(count: int) -> str:
    """`count` rules that invoke, each for events of its own, and one that changes plans."""
    watch = {"e": {"feed": FEED}}
    step = {"step": "e.data.step"}
    rules = [
        {
            "rule": name,
            "watch": watch,
            "when": f'e.data.does == "{does(EventKind.INVOKING, number)}"',
            "do": [{"invoke": {"application": APPLICATION, "action": ACTION, "config": step}}],
        }
        for number, name in enumerate(rule_names(count)[:-1])
    ]
    changing = {
        "rule": CHANGING_RULE,
        "watch": watch,
        "plan": {"named": PLAN_NAME},
        "when": f'e.data.does == "{does(EventKind.CHANGING, 0)}"',
        "do": [{"change": {"config": {"later": step}}}],
    }
    return json.dumps({"rules": [*rules, changing]})


def user_key(run: str, user: int) -> str:
    """The key of a user's events, and the owner of its plan."""
    return f"load-{run}-{user}"


def plan_ids(run: str, count: int) -> Iterable[str]:
    """Of all event plans."""
    return (user_key(run, user) for user in range(count))


def plan_document(run: str, user: int, *, at: str) -> str:
    """The event plan of a user. at: RFC 3339, in UTC, long after the run."""
    return json.dumps(
        {
            "plan": user_key(run, user),
            "name": PLAN_NAME,
            "owner": user_key(run, user),
            "at": at,
            "actions": {
                "later": {
                    "application": APPLICATION,
                    "action": ACTION,
                    "offset": "0s",
                    "config": {"step": 0},
                }
            },
        }
    )
