"""ClientActivity: when somebody was last at a client of an account, as its unit notices.

A client that follows is there now; one that has shown messages was there then. In memory, of the
accounts that were active last: what is older than a few minutes decides nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

MOST_ACCOUNTS = 50_000


class ClientActivity:
    """Of one unit; use from its event loop. follows: whether a client of an account follows its
    messages right now (tenant, account)."""

    def __init__(
        self, follows: Callable[[str, str], bool], *, most_accounts: int = MOST_ACCOUNTS
    ) -> None:
        self._follows = follows
        self._most_accounts = most_accounts
        self._shown_ms: OrderedDict[tuple[str, str], int] = OrderedDict()

    def shown(self, tenant: str, account: str, now_ms: int) -> None:
        """A client of the account has shown messages. now_ms: Unix ms."""
        self._shown_ms[tenant, account] = now_ms
        self._shown_ms.move_to_end((tenant, account))
        if len(self._shown_ms) > self._most_accounts:
            self._shown_ms.popitem(last=False)

    def last_ms(self, tenant: str, account: str, now_ms: int) -> int | None:
        """Unix ms; None: nothing is known."""
        if self._follows(tenant, account):
            return now_ms
        return self._shown_ms.get((tenant, account))
