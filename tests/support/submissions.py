"""Manifests, artifacts and events for tests: a producer of traffic, a coffee machine."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

from homeport.api.cloudevents.v1 import cloudevents_pb2 as ce

COFFEE = (
    Path(__file__).parents[2] / "data-sharing" / "applications" / "coffee" / "coffee.wasm"
).read_bytes()
SPEED = "city.traffic.speed"
SPEED_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["road", "speed_kmh"],
    "properties": {
        "road": {"type": "string", "minLength": 1, "maxLength": 64},
        "speed_kmh": {"type": "number", "minimum": 0, "maximum": 400},
        "level": {"enum": ["free", "slow", "jam"]},
        "note": {"type": "string"},
    },
    "additionalProperties": False,
}


def traffic(**changes: Any) -> dict[str, Any]:
    """The manifest of a producer, with the keys of `changes` replaced; of its feed those that
    begin with feed_."""
    feed = {
        "type": SPEED,
        "schema": copy.deepcopy(SPEED_SCHEMA),
        "key": "/data/road",
        "samples": [{"data": {"road": "A1", "speed_kmh": 43.5}}],
        "shared_with": "everyone",
    }
    feed |= {k.removeprefix("feed_"): v for k, v in changes.items() if k.startswith("feed_")}
    manifest = {"application": "traffic", "version": "1.0.0", "produces": [feed]}
    return manifest | {k: v for k, v in changes.items() if not k.startswith("feed_")}


def coffee(**changes: Any) -> dict[str, Any]:
    """The manifest of the sample command, which also reads traffic; of its action those that
    begin with action_."""
    action = {
        "name": "brew",
        "input": {"type": "object", "properties": {"cups": {"type": "integer", "minimum": 1}}},
        "output": {
            "type": "object",
            "required": ["performed", "cups"],
            "properties": {"performed": {"const": "brew"}, "cups": {"type": "integer"}},
        },
        "sample": {"cups": 2},
        "idempotent": False,
    }
    action |= {k.removeprefix("action_"): v for k, v in changes.items() if k.startswith("action_")}
    manifest = {
        "application": "coffee",
        "version": "1.0.0",
        "consumes": [{"feed": SPEED, "purpose": "brew later when the road is slow"}],
        "actions": [action],
        "runtime": {"kind": "wasi-command", "sha256": hashlib.sha256(COFFEE).hexdigest()},
    }
    return manifest | {k: v for k, v in changes.items() if not k.startswith("action_")}


def text(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest)


def event(name: str, data: Any = None, **changes: Any) -> ce.CloudEvent:
    """A CloudEvent of traffic."""
    given = {"road": "A1", "speed_kmh": 43.5} if data is None else data
    fields = {
        "id": name,
        "source": "/city/traffic",
        "spec_version": "1.0",
        "type": SPEED,
        "text_data": given if isinstance(given, str) else json.dumps(given),
    } | changes
    return ce.CloudEvent(**fields)
