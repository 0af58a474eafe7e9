"""CallServer: what decides about calls and texts in the process that speaks SIP.

Emergency numbers come first, and need nothing but the request: they are passed with the caller as
the trunk knows it, asserted or written, withheld or not. Everything else is asked of the unit
(`CallAsks`), by the caller that a listed trunk asserts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from deployment_units.services.telephony.dialling import EmergencyDialled, classify
from deployment_units.services.telephony.port import (
    CallKind,
    CallRecord,
    CallRoute,
    Emergency,
    EndCause,
    IncomingCall,
    Leg,
)
from deployment_units.services.telephony.sip.call_causes import STATUS_OF
from deployment_units.services.telephony.sip.messages import Request
from deployment_units.services.telephony.sip.port import LegPlan
from deployment_units.services.telephony.sip.trunks import (
    Trunk,
    Trunks,
    caller_of,
    dialled_in,
    number_in,
)


class CallAsks(Protocol):
    """The unit, as the call server asks and tells it. No method raises but for being cancelled."""

    async def route(self, call: IncomingCall) -> CallRoute:
        """See CallRouting."""
        ...

    async def text(self, call: IncomingCall, text: str) -> int:
        """What becomes of a text: a SIP status, once it is known."""
        ...

    def began(self, record: CallRecord, at_ms: int) -> None: ...
    def answered(self, record: CallRecord, at_ms: int) -> None: ...
    def ended(self, record: CallRecord, at_ms: int, cause: EndCause) -> None: ...


class CallServer:
    """region: ISO 3166, of trunks that have none; wall_ms: Unix ms."""

    def __init__(
        self, trunks: Trunks, asks: CallAsks, *, region: str, wall_ms: Callable[[], int]
    ) -> None:
        self._trunks = trunks
        self._asks = asks
        self._region = region
        self._wall_ms = wall_ms

    def emergency(self, request: Request, trunk: Trunk) -> LegPlan | None:
        """See CallControl."""
        dialled = classify(dialled_in(request), trunk.region or self._region)
        if not isinstance(dialled, EmergencyDialled):
            return None
        asserted = number_in(request.asserted) if request.asserted is not None else None
        return self._unmasked(dialled.number, asserted or number_in(request.sender))

    async def invited(self, request: Request, trunk: Trunk) -> LegPlan | int:
        """See CallControl."""
        route = await self._asks.route(self._call(request, trunk, CallKind.CALL))
        if isinstance(route, Leg):
            return LegPlan(
                target=route.target, shown=route.shown, trunk=self._trunks.out,
                limit_s=route.limit_s, key=route.record,
            )  # fmt: skip
        if isinstance(route, Emergency):
            return self._unmasked(route.number, route.caller)
        return STATUS_OF[route.cause]

    async def texted(self, request: Request, trunk: Trunk) -> int:
        """See CallControl."""
        try:
            text = request.body.encode("latin-1").decode()
        except UnicodeDecodeError:
            return 415
        return await self._asks.text(self._call(request, trunk, CallKind.TEXT), text)

    def began(self, plan: LegPlan) -> None:
        """See CallControl."""
        self._asks.began(plan.key, self._wall_ms())

    def answered(self, plan: LegPlan) -> None:
        """See CallControl."""
        self._asks.answered(plan.key, self._wall_ms())

    def ended(self, plan: LegPlan, cause: EndCause) -> None:
        """See CallControl."""
        self._asks.ended(plan.key, self._wall_ms(), cause)

    def _call(self, request: Request, trunk: Trunk, kind: CallKind) -> IncomingCall:
        return IncomingCall(
            caller=caller_of(request),
            dialled=dialled_in(request),
            kind=kind,
            trunk=trunk.name,
            region=trunk.region or self._region,
            id=f"{request.call_id} {request.sequence}" if kind is CallKind.TEXT else "",
        )

    def _unmasked(self, number: str, caller: str | None) -> LegPlan:
        return LegPlan(target=number, shown=caller, trunk=self._trunks.emergency)
