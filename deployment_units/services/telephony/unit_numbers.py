"""UnitNumbers: which numbers accounts and tenants have, as the directory says, kept so that calls
go on while it is away.

An account's virtual numbers stand in its state, a tenant's technical ones in the unit's database.
They are asked for again where they are ten minutes old; what was said last counts for as long as
nobody answers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress

from control_plane.errors import Refused, ServiceError, Unavailable
from deployment_units.services.accounts.accounts import Accounts, StaleEpoch
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory.port import GET_ACCOUNT_NUMBERS, UnitDirectory
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.telephony import kept
from deployment_units.services.telephony.routing import TenantNumbers
from homeport.api.directory.v1 import number_pb2 as pb

FRESH_MS = 600_000


class UnitNumbers:
    """Of one unit. wall_ms: Unix ms."""

    def __init__(
        self,
        database: UnitDatabase,
        accounts: Accounts,
        directory: UnitDirectory,
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._directory = directory
        self._wall_ms = wall_ms
        self._tenants: dict[str, TenantNumbers] = {}

    def of_tenant(self, tenant: str) -> TenantNumbers:
        """As the directory said last. Blocks. Raises Unavailable where it never did."""
        if tenant not in self._tenants:
            found = self._database.read(lambda db: kept.tenant_numbers(db, tenant))
            if found is None:
                raise Unavailable("the directory has not said yet which numbers the tenant has")
            technical, countries = found
            self._tenants[tenant] = TenantNumbers(
                technical=technical, countries=frozenset(countries)
            )
        return self._tenants[tenant]

    def are_fresh(self, db: sqlite3.Connection, owner: int) -> bool:
        """Whether an account's numbers were asked for a moment ago."""
        return kept.asked_ms(db, owner) > self._wall_ms() - FRESH_MS

    async def refresh(self, resident: Resident, dialled: str = "") -> None:
        """Asks where what is kept of the account is old, or has not the number that was dialled.
        Where the directory is away, what is kept counts. Raises as Accounts.change; StaleEpoch."""

        known = self._known(resident.tenant)

        def is_good(db: sqlite3.Connection, owner: int) -> bool:
            if known is None or not self.are_fresh(db, owner):
                return False
            own = kept.user(db, owner).virtual
            return not dialled or dialled in own or dialled in known.technical

        if not self._accounts.read(resident, is_good):
            with suppress(Unavailable):
                await self.ask(resident, ())

    async def ask(self, resident: Resident, numbers: Sequence[str]) -> frozenset[str]:
        """Asks anew and keeps the answer; which of these, E.164, at most 14, are numbers of ours.
        Raises Unavailable, StaleEpoch, and what else the directory says."""
        own = self._accounts.read(resident, kept.proved)
        asked = list(dict.fromkeys([*numbers, *own]))[:16]
        request = pb.GetAccountNumbersRequest(asked=asked)
        try:
            found: pb.AccountNumbers = await self._directory.call(
                GET_ACCOUNT_NUMBERS, resident, request
            )
        except Refused as error:
            if error.reason == StaleEpoch.reason:
                raise StaleEpoch(error.message) from error
            raise
        ours, now_ms = frozenset(found.ours), self._wall_ms()
        whole = TenantNumbers(
            technical=tuple(found.technical), countries=frozenset(found.countries)
        )

        def keep(db: sqlite3.Connection, owner: int) -> None:
            loops = ours.intersection(own)
            kept.set_numbers(db, owner, found.virtual, loops, now_ms=now_ms)
            if self._tenants.get(resident.tenant) != whole:
                kept.set_tenant_numbers(
                    db, resident.tenant, whole.technical, sorted(whole.countries)
                )

        await self._accounts.change(resident, keep)
        self._tenants[resident.tenant] = whole
        return ours

    async def is_ours(self, resident: Resident, number: str) -> bool | None:
        """Whether a number is one of any tenant's; None: nobody says."""
        try:
            return number in await self.ask(resident, [number])
        except ServiceError:
            return None

    def _known(self, tenant: str) -> TenantNumbers | None:
        """None: the directory never said; an account that moved here brings its own alone."""
        try:
            return self.of_tenant(tenant)
        except Unavailable:
            return None
