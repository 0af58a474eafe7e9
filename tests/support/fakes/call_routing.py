"""FakeCallRouting: a CallRouting over a table, which remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from deployment_units.services.telephony.port import (
    CallRecord,
    CallRoute,
    EndCause,
    IncomingCall,
    Leg,
    Refused,
    RefusedCause,
)


@dataclass
class FakeCallRouting:
    """routes: by caller and what was dialled, target and shown; or why there is none. what is not
    there is NOT_FOUND. Everything is the account `anna`'s of the tenant `talk`."""

    routes: dict[tuple[str | None, str], tuple[str, str | None] | RefusedCause] = field(
        default_factory=dict
    )
    asked: list[IncomingCall] = field(default_factory=list)
    told: list[tuple[str, CallRecord, int, EndCause | None]] = field(default_factory=list)

    async def route(self, call: IncomingCall) -> CallRoute:
        """See CallRouting."""
        self.asked.append(call)
        found = self.routes.get((call.caller, call.dialled), RefusedCause.NOT_FOUND)
        if isinstance(found, RefusedCause):
            return Refused(cause=found)
        target, shown = found
        record = CallRecord(tenant="talk", account="anna", id=len(self.asked).to_bytes(16))
        return Leg(target=target, shown=shown, account="anna", record=record)

    async def began(self, record: CallRecord, at_ms: int) -> None:
        """See CallRouting."""
        self.told.append(("began", record, at_ms, None))

    async def answered(self, record: CallRecord, at_ms: int) -> None:
        """See CallRouting."""
        self.told.append(("answered", record, at_ms, None))

    async def ended(self, record: CallRecord, at_ms: int, cause: EndCause) -> None:
        """See CallRouting."""
        self.told.append(("ended", record, at_ms, cause))
