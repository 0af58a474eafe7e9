"""UnitCalls: the CallRouting of one unit: for calls that come in here, whoever's they are.

An emergency number is found by what was dialled alone, before anything is looked at. All else is
asked of the account's home, which is this unit or another one. Whose a call is, this unit's tables
say where they were confirmed a moment ago, else the directory; while that is away, the tables.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3

from control_plane.errors import Exhausted, ServiceError, Unavailable
from control_plane.identifiers.identifier import Flaw
from control_plane.identifiers.phones import read_phone
from deployment_units.services.accounts.accounts import StaleEpoch
from deployment_units.services.accounts.entry import Resident, resident_of
from deployment_units.services.state import owners
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.telephony import kept
from deployment_units.services.telephony.account_calls import AccountCalls
from deployment_units.services.telephony.call_peers import (
    CallHomeFinder,
    CallPeers,
    CallReport,
    CallUnit,
)
from deployment_units.services.telephony.call_reports import CallReports
from deployment_units.services.telephony.dialling import EmergencyDialled, classify
from deployment_units.services.telephony.port import (
    CallRecord,
    CallRoute,
    Emergency,
    EndCause,
    IncomingCall,
    Leg,
    Refused,
    RefusedCause,
)
from deployment_units.services.telephony.routing import CallAsked, Routed
from deployment_units.services.telephony.unit_numbers import UnitNumbers

log = logging.getLogger(__name__)

ROUTE_S = 8.0
_UNAVAILABLE = Refused(cause=RefusedCause.UNAVAILABLE)


class UnitCalls:
    """See CallRouting. reports: brings what became of calls to their accounts."""

    def __init__(
        self,
        database: UnitDatabase,
        calls: AccountCalls,
        numbers: UnitNumbers,
        homes: CallHomeFinder,
        peers: CallPeers,
        reports: CallReports,
        *,
        route_s: float = ROUTE_S,
    ) -> None:
        self._database = database
        self._calls = calls
        self._numbers = numbers
        self._homes = homes
        self._peers = peers
        self._reports = reports
        self._route_s = route_s

    async def route(self, call: IncomingCall) -> CallRoute:
        """See CallRouting."""
        dialled = classify(call.dialled, call.region)
        if isinstance(dialled, EmergencyDialled):
            return Emergency(caller=call.caller, number=dialled.number)
        if isinstance(dialled, Refused):
            return dialled
        asked = CallAsked(caller=_believed(call.caller), dialled=dialled.e164, kind=call.kind)
        try:
            async with asyncio.timeout(self._route_s):
                return await self._routed(asked)
        except TimeoutError:
            return _UNAVAILABLE
        except ServiceError as error:
            log.warning("a call by trunk %s was not routed: %s", call.trunk, error)
            return _UNAVAILABLE

    async def began(self, record: CallRecord, at_ms: int) -> None:
        """See CallRouting."""
        self._reports.add(record, CallReport(record=record.id, stage="began", at_ms=at_ms))

    async def answered(self, record: CallRecord, at_ms: int) -> None:
        """See CallRouting."""
        self._reports.add(record, CallReport(record=record.id, stage="answered", at_ms=at_ms))

    async def ended(self, record: CallRecord, at_ms: int, cause: EndCause) -> None:
        """See CallRouting."""
        report = CallReport(record=record.id, stage="ended", at_ms=at_ms, cause=cause)
        self._reports.add(record, report)

    async def _routed(self, asked: CallAsked) -> CallRoute:
        """Raises ServiceError."""
        here, is_fresh = self._here(asked)
        if here is not None and is_fresh:
            try:
                return await self._at(here, asked)
            except StaleEpoch:
                pass  # the directory says
        for fresh in (False, True):
            try:
                home = await self._homes.of_call(asked.caller, asked.dialled, fresh=fresh)
            except (Unavailable, Exhausted):
                if here is None:
                    return _UNAVAILABLE
                home = here
            if home is None:
                return Refused(cause=RefusedCause.NOT_FOUND)
            try:
                return await self._at(home, asked)
            except StaleEpoch:
                continue
        return _UNAVAILABLE

    async def _at(self, home: Resident | CallUnit, asked: CallAsked) -> CallRoute:
        if isinstance(home, Resident):
            found = await self._calls.route(home, asked)
        else:
            found = await self._peers.route(home, asked)
        if not isinstance(found, Routed):
            return Refused(cause=found)
        record = CallRecord(tenant=home.tenant, account=home.account, id=found.record)
        return Leg(
            target=found.target,
            shown=found.shown,
            account=home.account,
            record=record,
            limit_s=found.limit_s,
        )

    def _here(self, asked: CallAsked) -> tuple[Resident | None, bool]:
        """Whose call it is by this unit's tables, and whether they were confirmed a moment ago.
        Blocks. Raises StoreUnavailable."""

        def find(db: sqlite3.Connection) -> tuple[Resident | None, bool]:
            number = kept.owner_of_call(db, asked.caller, asked.dialled)
            owner = None if number is None else owners.by_number(db, number)
            if number is None or owner is None:
                return None, False
            return resident_of(owner), self._numbers.are_fresh(db, number)

        return self._database.read(find)


def _believed(caller: str | None) -> str | None:
    """What is no number in E.164 is as if it was withheld."""
    if caller is None:
        return None
    read = read_phone(caller)
    return None if isinstance(read, Flaw) or read.normal != caller else caller
