"""The JSON Schema of policy documents that docs/reference publishes for editors.

python -m provisioner.policy.published docs/reference
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from provisioner.geo.countries import countries
from provisioner.placement.attributes import MOST_ATTRIBUTES, MOST_VALUE_BYTES
from provisioner.placement.hooks import HookUse
from provisioner.placement.ranking import MOST_BIAS
from provisioner.policy.document import Trust
from provisioner.policy.fields import MOST_CHARACTERS
from provisioner.policy.latency_caps import ANY, MOST_AFTER_S, MOST_LATENCY_MS, MOST_STEPS
from provisioner.policy.reading import (
    FORMAT,
    MOST_ASKED,
    MOST_DEADLINE_MS,
    MOST_KEEP_S,
    MOST_RULES,
    MOST_TOLD_GROUPS,
)
from provisioner.policy.shuffle_sharding import BY as SHARD_BY
from provisioner.policy.shuffle_sharding import MOST_UNITS as MOST_SHARD_UNITS
from provisioner.policy.unit_selectors import CONTINENTS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME = "policy.schema.json"
_NAME_PATTERN = "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"
_ATTRIBUTE_PATTERN = "^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"
_KM = {"type": "number", "minimum": 0, "maximum": 20_100}


def policy_schema() -> str:
    """As it stands in the file."""
    document = {
        "$schema": DIALECT,
        "title": "Policy of a tenant of Homeport",
        **_object(
            {
                "policy": {"const": FORMAT, "description": "The version of the format."},
                "description": _text("What it is for."),
                "certain_within_km": {
                    **_KM,
                    "description": "Up to which uncertainty a location is certain of its country.",
                },
                "equal_within_km": _object({"least": _KM, "most": _KM}),
                "groups": _named(
                    {"ids": _texts(), "patterns": _texts(), "attributes": _attributes()}
                ),
                "pools": _named({**_selector(), "spillover": _text("The pool tried after it.")}),
                "rings": _named(
                    {"share": {"type": "number", "minimum": 0, "maximum": 100}, **_selector()}
                ),
                "shuffle_sharding": _object(
                    {
                        "units": {
                            "type": "integer",
                            "minimum": 1,
                            "maximum": MOST_SHARD_UNITS,
                            "description": "How many units each tenant has.",
                        },
                        "by": {"const": SHARD_BY},
                        "among": {"$ref": "#/$defs/selector"},
                    },
                    required=["units"],
                ),
                "rules": {
                    "type": "array",
                    "items": {"$ref": "#/$defs/rule"},
                    "maxItems": MOST_RULES,
                },
            },
            required=["policy"],
        ),
        "$defs": {
            "rule": _rule(),
            "selector": _object(_selector()),
            "countries": {"type": "string", "enum": sorted(countries())},
            "continents": {"type": "string", "enum": list(CONTINENTS)},
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _rule() -> dict[str, Any]:
    chosen = {"$ref": "#/$defs/selector"}
    several = {"type": "array", "items": chosen}
    percent = {"type": "number", "minimum": -MOST_BIAS, "maximum": MOST_BIAS}
    rank = _object(
        {
            "by_country": {"type": "object", "additionalProperties": several},
            "prefer": several,
            "cost": _object(
                {"label": {"type": "string"}, "band": {"type": "number", "exclusiveMinimum": 0}},
                required=["label"],
            ),
            "latency": _latency(),
            "distance": {"type": "boolean"},
            "bias": {"type": "array", "items": _object({**_selector(), "percent": percent})},
            "load": {"type": "boolean"},
            "weights": {
                "type": "array",
                "items": _object(
                    {**_selector(), "weight": {"type": "number", "exclusiveMinimum": 0}}
                ),
            },
        }
    )
    return _object(
        {
            "name": {"type": "string", "pattern": _NAME_PATTERN},
            "when": _text("CEL over location, client and now; left out: always."),
            "location": {
                "enum": [one.value for one in Trust],
                "description": "How well the client's location has to be known for it to match.",
            },
            "require": chosen,
            "forbid": chosen,
            "deny": {"type": "boolean"},
            "rank": rank,
            "hook": _hook(),
            "pool": _text("The pool that is tried first."),
            "nowhere": {"enum": ["spread", "refuse"]},
            "full": {"enum": ["retry", "refuse"]},
        },
        required=["name"],
    )


def _latency() -> dict[str, Any]:
    caps = {"type": "number", "minimum": 1, "maximum": MOST_LATENCY_MS}
    step = _object(
        {
            "after_s": {
                "type": "number",
                "minimum": 1,
                "maximum": MOST_AFTER_S,
                "description": "How long a client has waited.",
            },
            "to_ms": {"anyOf": [caps, {"const": ANY}]},
        },
        required=["after_s", "to_ms"],
    )
    relax = {
        "type": "array",
        "items": step,
        "minItems": 1,
        "maxItems": MOST_STEPS,
        "description": "With it the cap holds, and relaxes for who waits; not with relax_to_ms.",
    }
    made = _object({"cap_ms": caps, "relax_to_ms": caps, "relax": relax}, required=["cap_ms"])
    return {**made, "not": {"required": ["relax", "relax_to_ms"]}}


def _hook() -> dict[str, Any]:
    plain = HookUse(name="")
    return _object(
        {
            "name": _named_text("The service that is asked, as the operator has it."),
            "away": {
                "enum": ["rank", "refuse"],
                "default": plain.away,
                "description": "What holds without its answer.",
            },
            "deadline_ms": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_DEADLINE_MS,
                "default": plain.deadline_ms,
            },
            "keep_s": {
                "type": "number",
                "minimum": 1,
                "maximum": MOST_KEEP_S,
                "default": plain.keep_s,
                "description": "How long an answer counts.",
            },
            "units": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_ASKED,
                "default": plain.units,
                "description": "About how many units it is asked.",
            },
            "each": {
                "enum": ["place", "client"],
                "default": "place",
                "description": "Whether it is asked for each place, or for each client.",
            },
            "attributes": _some_names(
                {"type": "string", "pattern": _ATTRIBUTE_PATTERN},
                MOST_ATTRIBUTES,
                "Those of a client that it is told; left out: none.",
            ),
            "groups": _some_names(
                {"type": "string", "pattern": _NAME_PATTERN},
                MOST_TOLD_GROUPS,
                "Those of which it is told whether a client is in them; left out: none.",
            ),
        },
        required=["name"],
    )


def _some_names(one: dict[str, Any], most: int, description: str) -> dict[str, Any]:
    several = {"type": "array", "items": one, "maxItems": most}
    return {"anyOf": [one, several], "description": description}


def _named_text(description: str) -> dict[str, Any]:
    return {"type": "string", "pattern": _NAME_PATTERN, "description": description}


def _selector() -> dict[str, Any]:
    return {
        "units": _texts(),
        "countries": _texts({"$ref": "#/$defs/countries"}),
        "continents": _texts({"$ref": "#/$defs/continents"}),
        "labels": {"type": "object", "additionalProperties": _texts()},
    }


def _texts(one: dict[str, Any] | None = None) -> dict[str, Any]:
    """One text, or a list of them."""
    item = one or {"type": "string", "minLength": 1}
    return {"anyOf": [item, {"type": "array", "items": item}]}


def _attributes() -> dict[str, Any]:
    value = {"type": "string", "minLength": 1, "maxLength": MOST_VALUE_BYTES}
    return {
        "type": "object",
        "description": "What a client in it has, each with this value, or one of these.",
        "propertyNames": {"pattern": _ATTRIBUTE_PATTERN},
        "additionalProperties": _texts(value),
        "maxProperties": MOST_ATTRIBUTES,
    }


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "maxLength": MOST_CHARACTERS, "description": description}


def _named(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "propertyNames": {"pattern": _NAME_PATTERN},
        "additionalProperties": _object(properties),
    }


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    made = {"type": "object", "properties": properties, "additionalProperties": False}
    return made if required is None else {**made, "required": required}


if __name__ == "__main__":
    (Path(sys.argv[1]) / NAME).write_text(policy_schema(), encoding="utf-8")
