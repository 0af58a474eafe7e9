"""OptimisticClaims: an account's first handle, claimed without reading anything before.

Most handles are claimed by accounts that this server gave their home a moment ago. What it wrote
then it knows; that the account has no record, and nobody the handle, it supposes. The transaction
compares all three, so nothing is claimed that `Handles.claim` would refuse: one that is refused
says only that something is not as supposed, and the claim goes on there, and reads. Each account
is supposed new once. (Optimistic concurrency control: Kung and Robinson, 1981.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeAlias

from control_plane import faultpoints, keys
from control_plane.errors import OutcomeUnknown, ServiceError
from control_plane.identifiers.handles import claim_flaw
from control_plane.identifiers.skeleton import stored_key
from control_plane.store.damaged import UNREADABLE
from control_plane.store.port import KeyValue, Txn, TxnResult
from provisioner.directory import protocol
from provisioner.directory.accounts import ActingUnit
from provisioner.directory.claim_budgets import ClaimBudgets, TooManyClaims
from provisioner.directory.claims import DirectoryAccount, DirectoryClaim, Holder, Listed
from provisioner.directory.handles import Handles, HeldHandle, handle_of
from provisioner.directory.registrar import Registrar
from provisioner.ledger.assignment import decode_assignment

Rest: TypeAlias = Callable[[], Awaitable[HeldHandle]]
"""What is left to be done of a claim; it raises what `Handles.claim` does."""
Told: TypeAlias = Callable[[HeldHandle | ServiceError | Rest], None]


class Submit(Protocol):
    """GroupedStore.submit, of the store with claims, accounts and assignments."""

    def __call__(
        self, txn: Txn, told: Callable[[TxnResult | Exception], None], /, *, within_s: float
    ) -> None: ...


class OptimisticClaims:
    """recent(key): an assignment that this server wrote, once, or None."""

    def __init__(
        self,
        handles: Handles,
        registrar: Registrar,
        budgets: ClaimBudgets,
        submit: Submit,
        *,
        recent: Callable[[bytes], KeyValue | None],
    ) -> None:
        self.handles = handles
        self.registrar = registrar
        self._budgets = budgets
        self._submit = submit
        self._recent = recent
        self.begun = self.refused = 0

    def begin(
        self,
        tenant: str,
        account: str,
        text: str,
        acting: ActingUnit,
        *,
        request: str,
        rename: bool,
        within_s: float,
        told: Told,
    ) -> bool:
        """Begins a claim by the account's home; `told` is called once, later. False: nothing was
        done, and `Handles.claim` is to. within_s: until it is on its way. Raises InvalidInput for a
        text that is no handle; Unavailable."""
        pair = self._recent(keys.assignment(tenant, account))
        if pair is None:
            return False
        handle = handle_of(text)
        try:
            home = decode_assignment(pair.value)
        except UNREADABLE:
            return False  # where it is said
        if (home.unit, home.epoch) != (acting.unit_id, acting.epoch) or claim_flaw(handle):
            return False  # where it is read what is so now, and said why not
        try:
            self._budgets.take(tenant, account)
        except TooManyClaims:
            return False  # for it may have the handle
        now_ms, key = self.registrar.now_ms(), stored_key(handle.normal)
        holder = Holder(account=account, life_ms=home.first_ms, proved_ms=now_ms, findable=True)
        listed = Listed(key=key, request=request, handle=handle.normal)
        at = keys.handle_claim(tenant, key)
        txn = protocol.first_claim(
            at,
            DirectoryClaim(holders=(holder,), handle=handle.normal, request=request),
            keys.directory_account(tenant, account),
            DirectoryAccount(listed=(listed,), epoch=home.epoch, life_ms=home.first_ms),
            pair,
        )
        begun = _Begun(
            self, told, (tenant, account, text, acting), at, handle.normal, request, rename, now_ms
        )
        self.begun += 1
        faultpoints.passing("claim.commit.before")
        self._submit(txn, begun, within_s=within_s)
        return True


class _Begun:
    """One claim under way: called with what became of its transaction. asked: tenant, account, text
    and who acts; at: the key of the claim."""

    __slots__ = (
        "_asked", "_at", "_claims", "_handle", "_now_ms", "_rename", "_request", "_told",
    )  # fmt: skip

    def __init__(
        self,
        claims: OptimisticClaims,
        told: Told,
        asked: tuple[str, str, str, ActingUnit],
        at: bytes,
        handle: str,
        request: str,
        rename: bool,
        now_ms: int,
    ) -> None:
        self._claims = claims
        self._told = told
        self._asked = asked
        self._at = at
        self._handle = handle
        self._request = request
        self._rename = rename
        self._now_ms = now_ms

    def __call__(self, said: TxnResult | Exception) -> None:
        if isinstance(said, TxnResult):
            faultpoints.passing("claim.commit.after")
            if said.succeeded:
                self._told(self._held(said.revision))
                return
            self._claims.refused += 1
            claim = partial(
                self._claims.handles.claim, *self._asked, request=self._request,
                rename=self._rename, counted=True,
            )  # fmt: skip
            self._told(claim)
        elif isinstance(said, OutcomeUnknown):  # it may be there, and is never made again
            self._told(self._look_up)
        else:
            assert isinstance(said, ServiceError), said
            self._told(said)

    def _held(self, revision: int) -> HeldHandle:
        return HeldHandle(
            handle=self._handle,
            account=self._asked[1],
            revision=revision,
            since_ms=self._now_ms,
        )

    async def _look_up(self) -> HeldHandle:
        """Raises OutcomeUnknown, StoreUnavailable."""
        account = self._asked[1]
        return self._held(await self._claims.registrar.looked_up(self._at, self._request, account))
