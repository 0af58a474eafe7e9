"""CommitRules: what the transactions of a commit queue rest on, besides the operations in them.

The queue groups operations and repeats them. Its rules say what every batch compares, how
accounts are read from the store, and which operations belong here. One store asks for little
of this; `provisioner.ledger.sharded.commit_rules` has the rules of one cluster among several.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from typing import Protocol

from control_plane import keys
from control_plane.errors import ServiceError
from control_plane.store.port import Compare, Store, TxnResult
from provisioner.ledger import transactions
from provisioner.ledger.account import Account
from provisioner.ledger.fences import NO_FENCES, Fences
from provisioner.ledger.operations import Operation
from provisioner.ledger.session import Session

RefreshAccounts = Callable[[Sequence[Account]], Awaitable[None]]


class WriteRoute(Protocol):
    """Tells operations that belong to this queue's store from those that do not."""

    def writes(self, assignment_key: bytes) -> bool:
        """Whether this client is written here now."""
        ...

    def forward(self, operation: Operation) -> None:
        """Passes on an operation that belongs elsewhere. It holds no reservation."""
        ...


class CommitRules(Protocol):
    """Asked once for each batch, but for `route`, which is asked for each operation."""

    @property
    def fixed_compares(self) -> int:
        """How many compares a batch makes whatever is in it."""
        ...

    @property
    def route(self) -> WriteRoute | None:
        """None: every operation belongs here, and none is asked about."""
        ...

    @property
    def refusal_asked(
        self,
    ) -> Callable[[Collection[Hashable]], Callable[[bytes], ServiceError | None] | None]:
        """Where clients of some tenants wait: what says why the client of an assignment's key may
        not be given a home, as of what the batch compares; None: nobody has to be asked about."""
        ...

    def fence_key(self, unit: str) -> bytes:
        """What a batch that adds clients to a unit compares as adopted."""
        ...

    def compares(self) -> Sequence[Compare]:
        """What a batch compares besides session, usage, fences and clients."""
        ...

    def outdated(self, compares: Sequence[Compare], result: TxnResult) -> bool:
        """Whether a refused batch made these compares in vain, so that what it found at the
        clients' keys says nothing. Its last results are those of `compares`."""
        ...

    def unregistered(self, accounts: Sequence[Account]) -> Sequence[Account]:
        """Those that nothing may be written for before they are registered."""
        ...

    async def register(self, account: Account, refresh: RefreshAccounts) -> bool:
        """Has the unit's capacity record know this provisioner; False where that cannot be
        done now. Only while no batch is under way."""
        ...

    async def read_accounts(self, accounts: Sequence[Account]) -> bool:
        """Brings these accounts up to date from the store; False when the session is gone.
        Raises ServiceError."""
        ...


class StoreCommitRules:
    """Everything is in one store: the session, each unit's fence and those of what others decide
    suffice."""

    route = None
    fence_key = staticmethod(keys.fence)

    def __init__(self, store: Store, session: Session, fences: Fences = NO_FENCES) -> None:
        self._store = store
        self._session = session
        self._fences = fences
        self.refusal_asked = fences.asked
        self.fixed_compares = 1 + len(fences)

    def compares(self) -> Sequence[Compare]:
        return self._fences.compares()

    def outdated(self, compares: Sequence[Compare], result: TxnResult) -> bool:
        """Decided by tenants or policies as they were before one of them changed."""
        return any_outdated(compares, result)

    def unregistered(self, accounts: Sequence[Account]) -> Sequence[Account]:
        return ()

    async def register(self, account: Account, refresh: RefreshAccounts) -> bool:
        return True

    async def read_accounts(self, accounts: Sequence[Account]) -> bool:
        session = self._session
        read = transactions.read_accounts(session.key, session.id, accounts)
        result = await self._store.commit(read)
        if not transactions.session_stands(result, session.revision):
            return False
        transactions.accept_snapshot(session.id, accounts, result)
        await self._fences.adopt(self._store)
        return True


def any_outdated(compares: Sequence[Compare], result: TxnResult) -> bool:
    """Whether any of these compares of a refused batch does not hold: the last results are what
    stands at their keys."""
    found = result.results[len(result.results) - len(compares) :]
    return any(
        (pairs[0].mod_revision if pairs else 0) != compare.operand
        for compare, pairs in zip(compares, found, strict=True)
    )
