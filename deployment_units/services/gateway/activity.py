"""ClientActivity: when somebody was last at a client of an account, as its unit notices.

A client that follows is there now; one that has shown messages was there then, and so was whoever
was in a browser that is on a device of the account. In memory, of the accounts that were active
last: what is older than a few minutes decides nothing.
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
        self._in_browser_ms: OrderedDict[tuple[str, str], int] = OrderedDict()

    def shown(self, tenant: str, account: str, now_ms: int) -> None:
        """A client of the account has shown messages. now_ms: Unix ms."""
        self._note(self._shown_ms, tenant, account, now_ms)

    def in_browser(self, tenant: str, account: str, now_ms: int) -> None:
        """Somebody is in a browser that is on a device of the account. now_ms: Unix ms."""
        self._note(self._in_browser_ms, tenant, account, now_ms)

    def forget_browsers(self, tenant: str, account: str) -> None:
        """What browsers tell of the account may not be used any more."""
        self._in_browser_ms.pop((tenant, account), None)

    def last_ms(self, tenant: str, account: str, now_ms: int) -> int | None:
        """Unix ms; None: nothing is known."""
        if self._follows(tenant, account):
            return now_ms
        key = (tenant, account)
        known = [one[key] for one in (self._shown_ms, self._in_browser_ms) if key in one]
        return max(known, default=None)

    def _note(
        self, kept: OrderedDict[tuple[str, str], int], tenant: str, account: str, now_ms: int
    ) -> None:
        kept[tenant, account] = now_ms
        kept.move_to_end((tenant, account))
        if len(kept) > self._most_accounts:
            kept.popitem(last=False)
