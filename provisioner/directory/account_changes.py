"""AccountChanges: who is told that something of an account may have changed in the directory.

It hears the keys of which the server's watch of the directory hears, and wakes those who follow an
account that they concern: its record, and the claims that it has. What has changed they read
themselves. Where the watch has lost its place everybody is woken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Self

from control_plane import keys
from control_plane.errors import Exhausted

MOST_OF_ACCOUNT: Final = 16  # who follow one account
_RETRY_S: Final = 5.0


class FollowedAccount:
    """One who follows: enter it. Leaving it is all there is to clean up."""

    def __init__(
        self, changes: AccountChanges, tenant: str, account: str, wake: Callable[[], None]
    ) -> None:
        self._changes = changes
        self._record = keys.directory_account(tenant, account)
        self._claims = frozenset[bytes]()
        self.wake = wake

    def __enter__(self) -> Self:
        """Raises Exhausted."""
        self._changes.add(self, [self._record], most=self._changes.most_of_account)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._changes.remove(self, [self._record, *self._claims])

    def has(self, claims: Iterable[bytes]) -> bool:
        """These are the keys of the account's claims, as was read. Whether one of them is new: what
        became of it since it was read was not heard, so it is to be read again."""
        now = frozenset(claims)
        new = now - self._claims
        self._changes.add(self, new)
        self._changes.remove(self, self._claims - now)
        self._claims = now
        return bool(new)


class AccountChanges:
    """Of one server; use from its event loop. hears_records: whether the watch hears of accounts'
    records too; else who follows has to look now and then."""

    def __init__(self, *, hears_records: bool, most_of_account: int = MOST_OF_ACCOUNT) -> None:
        self.hears_records = hears_records
        self.most_of_account = most_of_account
        self._by_key: dict[bytes, dict[FollowedAccount, None]] = {}

    def __len__(self) -> int:
        """Keys that somebody follows."""
        return len(self._by_key)

    def follow(self, tenant: str, account: str, wake: Callable[[], None]) -> FollowedAccount:
        """To enter. wake: is called once something may have changed, on the event loop."""
        return FollowedAccount(self, tenant, account, wake)

    def heard(self, key: bytes | None) -> None:
        """The watch has heard of a change; None: of some it may not have."""
        if key is None:
            for followers in self._by_key.values():
                for one in followers:
                    one.wake()
            return
        for one in self._by_key.get(key, ()):
            one.wake()

    def add(self, one: FollowedAccount, at: Iterable[bytes], *, most: int | None = None) -> None:
        """most: who may follow each. Raises Exhausted."""
        for key in at:
            followers = self._by_key.setdefault(key, {})
            if most is not None and len(followers) >= most:
                raise Exhausted(
                    f"{most} watch this account at this server already", retry_after_s=_RETRY_S
                )
            followers[one] = None

    def remove(self, one: FollowedAccount, at: Iterable[bytes]) -> None:
        """Who does not follow these is left out."""
        for key in at:
            followers = self._by_key.get(key, {})
            followers.pop(one, None)
            if not followers:
                self._by_key.pop(key, None)
