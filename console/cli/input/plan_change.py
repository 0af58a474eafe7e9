"""What `homeport plans change` means: words of the command line as one change of a plan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import typer

from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from data_sharing.forecasts.spec import duration_ms
from homeport.api.datasharing.v1 import plan_pb2 as pb


def change_request(
    plan: pb.Plan,
    *,
    shift: str | None,
    cancelled: bool | None,
    settings: Sequence[str],
    at: str | None,
    every: bool,
    note: str,
) -> pb.ChangePlanRequest:
    """Of the occurrence at `at`, of every one, or of the next. Raises typer.BadParameter, and
    InvalidInput where there is no next one."""
    request = pb.ChangePlanRequest(
        tenant=plan.tenant, plan_id=plan.plan_id, expected_version=plan.version, note=note
    )
    if at is not None and every:
        raise typer.BadParameter("either one occurrence or every one", param_hint="--at")
    if at is not None:
        try:
            request.occurrence_time.FromJsonString(at)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--at") from None
    elif not every:
        if not plan.HasField("next"):
            raise InvalidInput("occurrence_time", f"nothing of plan {plan.plan_id} is to come")
        request.occurrence_time.CopyFrom(plan.next.planned_time)
    if shift is not None:
        earlier = shift.startswith("-")
        ms = duration_ms(shift.lstrip("+-"), "--shift")
        request.shift.FromMilliseconds(-ms if earlier else ms)
    if cancelled is not None:
        request.cancelled = cancelled
    fields: dict[str, dict[str, Any]] = {}
    for setting in settings:
        action, name, value = _setting(setting)
        fields.setdefault(action, {})[name] = value
    for action, of in fields.items():
        request.config_json[action] = json.dumps(of, ensure_ascii=False)
    return request


def _setting(text: str) -> tuple[str, str, Any]:
    place, equals, value = text.partition("=")
    action, dot, name = place.partition(".")
    if not (equals and dot and action and name):
        raise typer.BadParameter(f"{quoted(text)} is not ACTION.FIELD=VALUE", param_hint="--set")
    try:
        return action, name, json.loads(value)
    except ValueError:
        return action, name, value  # a word
