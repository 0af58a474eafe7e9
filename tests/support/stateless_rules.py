"""Rules that look at one event alone, and what they are decided in."""

from __future__ import annotations

import json
from typing import Any

from data_sharing.event import Event
from data_sharing.rules.cell_cache import CellCache
from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.compiler import compile_rule, parse
from data_sharing.rules.evaluation_context import EvaluationContext, NoPlans
from data_sharing.rules.feed_schema import FeedSchema


def rule(
    when: str, schema: dict[str, Any] | None, *, where: str = "", key: str = "event.key",
    config: str = "event.data.a", more: str = "",
) -> CompiledRule:  # fmt: skip
    watch = {"feed": "feed", "key": key} | ({"where": where} if where else {})
    (spec,) = parse(
        f"""
rules:
  - rule: r
    watch: {{e: {json.dumps(watch)}}}
    when: {json.dumps(when)}
    {more}
    do: [{{invoke: {{application: a, action: b, config: {{x: {json.dumps(config)}}}}}}}]
"""
    ).rules
    schemas = {"feed": FeedSchema("feed", schema)}
    return compile_rule(spec, tenant="t", version=1, schemas=schemas, forecasts={})


def context(event: Event, *, explaining: bool) -> EvaluationContext:
    state = CellCache(lambda _: None)
    return EvaluationContext(event, 5_000, state, NoPlans(), explaining, lambda *_: None)
