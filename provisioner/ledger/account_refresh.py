"""AccountRefresh: brings accounts up to date with the store, for as long as that takes.

After an unknown outcome, or a refusal that nothing explains, nothing is written before the
store was read. While it is away that is tried again and again, with a growing pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from control_plane.errors import ServiceError
from provisioner.ledger.account import Account
from provisioner.ledger.session import Session
from provisioner.ledger.transactions import READ_UNITS

RETRY_S = 0.05
RETRY_MAX_S = 0.25  # writes stand still meanwhile


class AccountRefresh:
    """read(accounts): reads them, False when the session is gone. touched(account): whenever
    an account's room may have changed. while_away(): before each pause."""

    def __init__(
        self,
        session: Session,
        read: Callable[[Sequence[Account]], Awaitable[bool]],
        *,
        touched: Callable[[Account], None],
        while_away: Callable[[], None],
    ) -> None:
        self._session = session
        self._read = read
        self._touched = touched
        self._while_away = while_away

    async def __call__(self, accounts: Sequence[Account]) -> None:
        """Returns when all were read, or the session was found gone and reported lost."""
        delay_s = RETRY_S
        while True:
            for start in range(0, len(accounts), READ_UNITS):
                part = accounts[start : start + READ_UNITS]
                try:
                    stands = await self._read(part)
                except ServiceError:
                    break
                if not stands:
                    self._session.report_lost()
                    return
                for account in part:
                    self._touched(account)
            else:
                return
            self._while_away()
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_MAX_S)
