"""FirstClaims: an account's first handle, claimed without a task, and most often without reading.

Most handles are claimed by accounts that got their home a moment ago. Where this server gave it, it
knows what it wrote then; that the account has no record, and nobody the handle, it supposes. The
transaction compares all three, so nothing is claimed that `Handles.claim` would refuse: one that is
refused says only that something is not as supposed. Of other accounts all three are read first.
Whatever is no first claim of a free handle by the account's home goes on in `Handles.claim`, which
reads, and says why not. Each account is supposed new once. (Optimistic concurrency control: Kung
and Robinson, 1981.)
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
from control_plane.store.port import Get, KeyValue, Txn, TxnResult
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


class FirstClaims:
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
        self.budgets = budgets
        self.submit = submit
        self._recent = recent

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
    ) -> None:
        """Begins a claim by the account's home; `told` is called once, now or later. within_s: for
        the turn of each of its transactions. Raises InvalidInput for a text that is no handle;
        Unavailable."""
        normal = handle_of(text)
        key, home = stored_key(normal.normal), keys.assignment(tenant, account)
        claim = _FirstClaim(self, tenant, account, text, acting, request, rename, within_s, told)
        claim.handle, claim.key = normal.normal, key
        claim.at = keys.handle_claim(tenant, key)
        if claim_flaw(normal):
            claim.ask(counted=False)
        elif (pair := self._recent(home)) is not None:
            claim.commit(pair)
        else:
            reads = [Get(home), Get(keys.directory_account(tenant, account)), Get(claim.at)]
            self.submit(Txn(then=reads), claim.read, within_s=within_s)


class _FirstClaim:
    """One claim under way. at: where the handle's claim stands, key: by what its looks have."""

    __slots__ = (
        "_account", "_acting", "_claims", "_now_ms", "_rename", "_request", "_tenant", "_text",
        "_told", "_within_s", "at", "handle", "key",
    )  # fmt: skip

    handle: str
    key: str
    at: bytes

    def __init__(
        self,
        claims: FirstClaims,
        tenant: str,
        account: str,
        text: str,
        acting: ActingUnit,
        request: str,
        rename: bool,
        within_s: float,
        told: Told,
    ) -> None:
        self._claims = claims
        self._tenant = tenant
        self._account = account
        self._text = text
        self._acting = acting
        self._request = request
        self._rename = rename
        self._within_s = within_s
        self._told = told

    def read(self, said: TxnResult | Exception) -> None:
        """What stands at the three keys, or that the store did not say."""
        if isinstance(said, TxnResult):
            home, record, claim = said.results
            if home and not record and not claim:
                try:
                    self.commit(home[0])
                except ServiceError as error:
                    self._told(error)
            else:
                self.ask(counted=False)
        else:
            assert isinstance(said, ServiceError), said
            self._told(said)

    def commit(self, pair: KeyValue) -> None:
        """Claims for an account with this assignment and no record. Raises Unavailable."""
        claims, acting, account, request = self._claims, self._acting, self._account, self._request
        try:
            home = decode_assignment(pair.value)
            if (home.unit, home.epoch) != (acting.unit_id, acting.epoch):
                self.ask(counted=False)  # it may have come back
                return
            claims.budgets.take(self._tenant, account)
        except (*UNREADABLE, TooManyClaims):  # it says so, unless the account has the handle
            self.ask(counted=False)
            return
        now_ms = self._now_ms = claims.registrar.now_ms()
        holder = Holder(account=account, life_ms=home.first_ms, proved_ms=now_ms, findable=True)
        listed = Listed(key=self.key, request=request, handle=self.handle)
        txn = protocol.first_claim(
            self.at,
            DirectoryClaim(holders=(holder,), handle=self.handle, request=request),
            keys.directory_account(self._tenant, account),
            DirectoryAccount(listed=(listed,), epoch=home.epoch, life_ms=home.first_ms),
            pair,
        )
        faultpoints.passing("claim.commit.before")
        claims.submit(txn, self._committed, within_s=self._within_s)

    def _committed(self, said: TxnResult | Exception) -> None:
        if isinstance(said, TxnResult):
            faultpoints.passing("claim.commit.after")
            if said.succeeded:
                self._told(self._held(said.revision))
            else:
                self.ask(counted=True)
        elif isinstance(said, OutcomeUnknown):  # it may be there, and is never made again
            self._told(self._look_up)
        else:
            assert isinstance(said, ServiceError), said
            self._told(said)

    def ask(self, *, counted: bool) -> None:
        """Leaves the claim to `Handles.claim`. counted: of its budget it was taken."""
        claim = partial(
            self._claims.handles.claim, self._tenant, self._account, self._text, self._acting,
            request=self._request, rename=self._rename, counted=counted,
        )  # fmt: skip
        self._told(claim)

    def _held(self, revision: int) -> HeldHandle:
        return HeldHandle(
            handle=self.handle, account=self._account, revision=revision, since_ms=self._now_ms
        )

    async def _look_up(self) -> HeldHandle:
        """Raises OutcomeUnknown, StoreUnavailable."""
        registrar = self._claims.registrar
        return self._held(await registrar.looked_up(self.at, self._request, self._account))
