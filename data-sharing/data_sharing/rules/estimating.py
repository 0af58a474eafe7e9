"""Estimating: a forecast takes in the events of its feed, and tells what it knows at a key.

shape: of its state, with which it is kept; what was kept in another one is as if it were not there.
"""

from __future__ import annotations

from control_plane.expressions.expression import Fault
from data_sharing.forecasts.forecast import Forecast, is_number
from data_sharing.rules.cell_cache import CellCache, CellId
from data_sharing.rules.compiled import CompiledForecast
from data_sharing.rules.evaluation_context import EvaluationContext


def take_in(one: CompiledForecast, shape: str, context: EvaluationContext) -> None:
    """The event that is decided. One that lacks the value or the key is left out, and one of a new
    key where there is no room for more."""
    event, state = context.event, context.state
    assert event is not None
    if one.where is not None and context.of_event(one.where) is not True:
        return
    value, key = context.of_event(one.value), context.of_event(one.key)
    if isinstance(value, Fault) or not is_number(value) or not isinstance(key, str):
        return
    cell = CellId(one.tenant, "forecast", one.spec.forecast, key)
    known = known_at(one, shape, key, context.now_ms, state)
    uses = state.uses if state.size(cell) is None else None
    if uses is not None and uses.why_full(cell, context.producer, one.spec.memory):
        context.full[one.spec.forecast] = None
        return
    found = known or Forecast.new(one.method)
    found.shape = shape
    found.add(float(value), event.time_ms, one.method)
    expires_ms = found.last_ms + one.method.forget_ms
    state.put(cell, found, expires_ms, context.producer)


def known_at(
    one: CompiledForecast, shape: str, key: str, now_ms: int, state: CellCache
) -> Forecast | None:
    """What is known at the key; nothing where it was made otherwise or is forgotten."""
    found: Forecast | None = state.get(CellId(one.tenant, "forecast", one.spec.forecast, key))
    if found is None or found.shape != shape:
        return None
    return None if now_ms > found.last_ms + one.method.forget_ms else found
