"""What `homeport plans change` means: words of the command line as one change of a plan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import typer

from console.cli.input.times import time_ms
from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from data_sharing.forecasts.spec import duration_ms
from homeport.api.datasharing.v1 import plan_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChange:
    """The change of whichever plan it will be. at_ms: the planned time of the one occurrence that
    it concerns; None: every one, or the next."""

    shift_ms: int | None
    cancelled: bool | None
    config: dict[str, str]  # of each action, JSON
    at_ms: int | None
    every: bool
    note: str

    @classmethod
    def of(
        cls,
        *,
        shift: str | None,
        cancelled: bool | None,
        settings: Sequence[str],
        at: str | None,
        every: bool,
        note: str,
    ) -> PlanChange:
        """What the words say; nobody is asked for it. Raises typer.BadParameter, InvalidInput."""
        if at is not None and every:
            raise typer.BadParameter("either one occurrence or every one", param_hint="--at")
        fields: dict[str, dict[str, Any]] = {}
        for setting in settings:
            action, name, value = _setting(setting)
            fields.setdefault(action, {})[name] = value
        return cls(
            shift_ms=None if shift is None else _shift_ms(shift),
            cancelled=cancelled,
            config={
                action: json.dumps(of, ensure_ascii=False) for action, of in fields.items()
            },
            at_ms=None if at is None else time_ms(at, "--at"),
            every=every,
            note=note,
        )  # fmt: skip

    def request_for(self, plan: pb.Plan) -> pb.ChangePlanRequest:
        """Raises InvalidInput where the next occurrence is meant and there is none."""
        request = pb.ChangePlanRequest(
            tenant=plan.tenant,
            plan_id=plan.plan_id,
            expected_version=plan.version,
            note=self.note,
            config_json=self.config,
        )
        if self.at_ms is not None:
            request.occurrence_time.FromMilliseconds(self.at_ms)
        elif not self.every:
            if not plan.HasField("next"):
                raise InvalidInput("occurrence_time", f"nothing of plan {plan.plan_id} is to come")
            request.occurrence_time.CopyFrom(plan.next.planned_time)
        if self.shift_ms is not None:
            request.shift.FromMilliseconds(self.shift_ms)
        if self.cancelled is not None:
            request.cancelled = self.cancelled
        return request


def _shift_ms(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    return sign * duration_ms(text[1:] if text[:1] in ("+", "-") else text, "--shift")


def _setting(text: str) -> tuple[str, str, Any]:
    place, equals, value = text.partition("=")
    action, dot, name = place.partition(".")
    if not (equals and dot and action and name):
        raise typer.BadParameter(f"{quoted(text)} is not ACTION.FIELD=VALUE", param_hint="--set")
    try:
        return action, name, json.loads(value, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return action, name, value  # a word


def _not_json(_: str) -> NoReturn:
    """NaN and Infinity, which Python's JSON has and JSON has not."""
    raise ValueError
