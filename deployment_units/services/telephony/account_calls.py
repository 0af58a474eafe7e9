"""AccountCalls: calls and texts of the accounts that are at home in this unit, wherever they come
in."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from deployment_units.services.accounts.accounts import NOBODY, Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.telephony import kept, records
from deployment_units.services.telephony.linking import Linked
from deployment_units.services.telephony.port import EndCause, RefusedCause
from deployment_units.services.telephony.records import CallLimits
from deployment_units.services.telephony.routing import CallAsked, Routed, judged, route
from deployment_units.services.telephony.unit_numbers import UnitNumbers


class AccountCalls:
    """Of one unit. wall_ms: Unix ms; random(n): n bytes from a cryptographic source. routed: how
    many there were, by what became of them."""

    def __init__(
        self,
        accounts: Accounts,
        numbers: UnitNumbers,
        *,
        wall_ms: Callable[[], int],
        random: Callable[[int], bytes],
        limits: CallLimits | None = None,
    ) -> None:
        self._accounts = accounts
        self._numbers = numbers
        self._wall_ms = wall_ms
        self._random = random
        self._limits = limits or CallLimits()
        self.routed: Counter[tuple[str, str]] = Counter()

    async def route(self, resident: Resident, asked: CallAsked) -> Routed | RefusedCause:
        """Opens the record of a call of the account. Raises as Accounts.change."""
        await self._numbers.refresh(resident, asked.dialled)
        asked = await self._looked_at(resident, asked)
        numbers = self._numbers.of_tenant(resident.tenant)

        def whole(db: sqlite3.Connection, owner: int) -> Routed | RefusedCause:
            return route(
                db, owner, resident.account, asked, numbers, self._limits,
                now_ms=self._wall_ms(), random=self._random,
            )  # fmt: skip

        found = await self._accounts.change(resident, whole)
        self.routed[asked.kind.value, "routed" if isinstance(found, Routed) else found.value] += 1
        return found

    def trace(self, resident: Resident, asked: CallAsked) -> Linked | RefusedCause:
        """Where it would go, as far as is known here. Blocks. Raises StaleEpoch."""
        numbers = self._numbers.of_tenant(resident.tenant)
        return self._accounts.read(
            resident, lambda db, owner: judged(db, owner, resident.account, asked, numbers)
        )

    async def began(self, resident: Resident, record: bytes, at_ms: int) -> bool:
        """Whether there is such a record. Raises as Accounts.change."""
        return await self._note(
            resident, record, lambda db, o: records.note_began(db, o, record, at_ms)
        )

    async def answered(self, resident: Resident, record: bytes, at_ms: int) -> bool:
        """The same."""
        return await self._note(
            resident, record, lambda db, o: records.note_answered(db, o, record, at_ms)
        )

    async def ended(self, resident: Resident, record: bytes, at_ms: int, cause: EndCause) -> bool:
        """The same."""
        return await self._note(
            resident, record, lambda db, o: records.note_ended(db, o, record, at_ms, cause)
        )

    async def _note(
        self, resident: Resident, record: bytes, work: Callable[[sqlite3.Connection, int], bool]
    ) -> bool:
        if self._accounts.read(resident, lambda db, owner: owner) == NOBODY:
            return False  # nothing is begun for an account that has no call
        return await self._accounts.change(resident, work)

    async def _looked_at(self, resident: Resident, asked: CallAsked) -> CallAsked:
        """Says of a stranger whether it is known to be no number of ours."""
        caller = asked.caller
        if caller is None:
            return asked

        def is_new(db: sqlite3.Connection, owner: int) -> bool:
            table = kept.table_for(db, owner, resident.account, caller, asked.dialled)
            virtual = table.users[resident.account].virtual
            new = asked.dialled in virtual and not table.links
            return new and kept.strangers(db, owner) != kept.ANONYMOUS

        if not self._accounts.read(resident, is_new):
            return asked
        return replace(asked, trusted=await self._numbers.is_ours(resident, caller) is False)
