"""Handles: who has which, taken, given back and handed over.

An account has one. Taking another gives the first back, in the same transaction; what is given back
is kept from others for a while, so that nobody is taken for who had it yesterday.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from control_plane import keys
from control_plane.errors import Conflict, InvalidInput, NotFound
from control_plane.identifiers.handles import claim_flaw, read_handle
from control_plane.identifiers.identifier import Flaw, Identifier, IdentifierKind
from control_plane.identifiers.skeleton import stored_key
from provisioner.directory.accounts import (
    AccountView,
    ActingUnit,
    check_home,
    view_account,
)
from provisioner.directory.claim_budgets import ClaimBudgets
from provisioner.directory.claim_rules import (
    ClaimNotAllowed,
    ClaimReason,
    NameRefused,
    freed,
    given_back_refusal,
    handle_refusal,
)
from provisioner.directory.claims import DirectoryAccount, DirectoryClaim, Holder, Listed
from provisioner.directory.offers import HandleOffer, OfferSigner
from provisioner.directory.protocol import ClaimChange
from provisioner.directory.registrar import ATTEMPTS, Gain, Registrar, claim_key

KIND = IdentifierKind.HANDLE.value


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldHandle:
    """A handle that an account has. revision: of its claim."""

    handle: str
    account: str
    revision: int
    since_ms: int = 0


class Handles:
    """Over a registrar. Every method raises InvalidInput for a text that is no handle; Unavailable,
    OutcomeUnknown; Conflict where others keep changing the same. What an account takes is limited
    (Exhausted), but for operators: by budgets, and by how many it has given back lately."""

    def __init__(self, registrar: Registrar, signer: OfferSigner, budgets: ClaimBudgets) -> None:
        self._registrar = registrar
        self._signer = signer
        self._budgets = budgets

    async def claim(
        self,
        tenant: str,
        account: str,
        text: str,
        acting: ActingUnit | None,
        *,
        request: str,
        rename: bool = False,
        counted: bool = False,
    ) -> HeldHandle:
        """Has the account take a handle; one that it has is answered. rename: it gives the one it
        has back; counted: its budget was asked already. Raises NameRefused; ClaimNotAllowed;
        NotFound no such account; Exhausted."""
        handle = handle_of(text)
        key = keys.handle_claim(tenant, stored_key(handle.normal))
        paid, counted = counted, counted or acting is None
        for _ in range(ATTEMPTS):
            view, pair, claim = await self._registrar.account_and_claim(tenant, account, key)
            check_home(view, acting)
            if view.is_former:  # what an earlier client of its name had is given back first
                await self._registrar.let_go(view, view.record.listed, request)
                continue
            if pair is not None and claim is not None and claim.holder(account) is not None:
                if not await self._is_gone(tenant, claim, request, key):
                    if claim.handle == handle.normal:
                        if paid:
                            self._budgets.give_back(tenant, account)
                        return _held(claim, account, pair.mod_revision)
                else:
                    continue
            if not counted:
                self._budgets.take(tenant, account)
                counted = True
            home = check_home(view, acting)
            _check_claimable(handle, claim, account)
            if refusal := handle_refusal(
                claim, handle.normal, account, home.first_ms, self._registrar.now_ms()
            ):
                if await self._is_gone(tenant, claim, request, key):
                    continue
                raise refusal
            change = ClaimChange(key=key, before=pair, after=None)
            gain = await self._gain(view, handle, change, request, rename, acting)
            if revision := await self._registrar.gain(gain):
                return HeldHandle(
                    handle=handle.normal, account=account, revision=revision,
                    since_ms=gain.holder.proved_ms,
                )  # fmt: skip
        raise _busy()

    async def release(
        self, tenant: str, account: str, text: str, acting: ActingUnit | None, *, request: str
    ) -> bool:
        """Has the account give a handle back; False: it does not have it. Raises ClaimNotAllowed,
        NotFound."""
        handle = handle_of(text)
        for _ in range(ATTEMPTS):
            view = await view_account(self._registrar.accounts, tenant, account)
            check_home(view, acting)
            listed = view.record.of_kind(KIND)
            key = stored_key(handle.normal)
            own = next((one for one in listed if one.key == key), None)
            if own is None or view.is_former:
                return False
            _, claim = await self._registrar.claim_at(claim_key(tenant, own))
            if claim is None or claim.holder(account) is None or claim.handle != handle.normal:
                return False
            if await self._registrar.let_go(view, [own], request):
                return True
        raise _busy()

    async def offer(
        self,
        tenant: str,
        account: str,
        text: str,
        to: str,
        acting: ActingUnit | None,
        *,
        lasts_s: float,
    ) -> tuple[str, int]:
        """An offer of the account's handle to another account, and until when it is good, Unix ms.
        It is void once the handle is anybody else's, or was taken anew. Raises ClaimNotAllowed,
        NotFound."""
        handle = handle_of(text)
        view = await view_account(self._registrar.accounts, tenant, account)
        check_home(view, acting)
        key = keys.handle_claim(tenant, stored_key(handle.normal))
        pair, claim = await self._registrar.claim_at(key)
        if pair is None or claim is None or not _is_its(claim, view, handle):
            raise ClaimNotAllowed("NOT_HELD", f"the account does not have {handle.shown}")
        if to == account:
            raise InvalidInput("to_account", "to_account is the account that has the handle")
        until_ms = self._registrar.now_ms() + int(lasts_s * 1_000)
        offer = HandleOffer(
            tenant=tenant, handle=handle.normal, holder=account, to=to,
            revision=pair.mod_revision, until_ms=until_ms,
        )  # fmt: skip
        return self._signer.sign(offer), until_ms

    async def accept(
        self,
        tenant: str,
        account: str,
        token: str,
        acting: ActingUnit | None,
        *,
        request: str,
        rename: bool = False,
    ) -> HeldHandle:
        """Has the account take what it was offered; what it has taken already is answered. Raises
        InvalidInput for what is no offer to it; ClaimNotAllowed where it is void; NotFound;
        Exhausted."""
        offer = self._signer.read(token)
        if offer is None or offer.tenant != tenant or offer.to != account:
            raise InvalidInput("offer", "offer is none that was made to this account; ask for one")
        handle = handle_of(offer.handle)
        key = keys.handle_claim(tenant, stored_key(handle.normal))
        counted = acting is None
        for _ in range(ATTEMPTS):
            view = await self._live_account(tenant, account, acting, request)
            pair, claim = await self._registrar.claim_at(key)
            if pair is not None and claim is not None and _is_its(claim, view, handle):
                return _held(claim, account, pair.mod_revision)
            if not counted:
                self._budgets.take(tenant, account)
                counted = True
            owner = await view_account(self._registrar.accounts, tenant, offer.holder)
            standing = pair is not None and pair.mod_revision == offer.revision
            if claim is None or not standing or not _is_its(claim, owner, handle):
                raise ClaimNotAllowed(
                    "OFFER_VOID", f"{handle.shown} has changed hands since it was offered"
                )
            if self._registrar.now_ms() >= offer.until_ms:
                raise ClaimNotAllowed("OFFER_EXPIRED", "the offer has ended; ask for another one")
            change = ClaimChange(key=key, before=pair, after=None)
            gain = await self._gain(view, handle, change, request, rename, acting, loses=owner)
            if revision := await self._registrar.gain(gain):
                return HeldHandle(
                    handle=handle.normal, account=account, revision=revision,
                    since_ms=gain.holder.proved_ms,
                )  # fmt: skip
        raise _busy()

    async def holder_of(self, tenant: str, text: str) -> HeldHandle:
        """Who has a handle. Raises NotFound, also where its account is none any more."""
        handle = handle_of(text)
        key = keys.handle_claim(tenant, stored_key(handle.normal))
        pair, claim = await self._registrar.claim_at(key)
        if pair is not None and claim is not None and claim.holders:
            account = claim.holders[0].account
            view = await view_account(self._registrar.accounts, tenant, account)
            if _is_its(claim, view, handle):
                return _held(claim, account, pair.mod_revision)
        raise NotFound(f"nobody has {handle.shown}")

    async def _live_account(
        self, tenant: str, account: str, acting: ActingUnit | None, request: str
    ) -> AccountView:
        """The account, after what an earlier client of its name had has been given back."""
        for _ in range(ATTEMPTS):
            view = await view_account(self._registrar.accounts, tenant, account)
            check_home(view, acting)
            if not view.is_former:
                return view
            await self._registrar.let_go(view, view.record.listed, request)
        raise _busy()

    async def _is_gone(
        self, tenant: str, claim: DirectoryClaim | None, request: str, key: bytes
    ) -> bool:
        """Whether the account that has a claim is none any more; then it is freed now."""
        if claim is None or not claim.holders:
            return False
        holder = claim.holders[0]
        view = await view_account(self._registrar.accounts, tenant, holder.account)
        if view.has(holder.life_ms):
            return False
        stored = key[len(keys.handle_claim(tenant, "")) :].decode()
        one = Listed(key=stored, request=request, handle=claim.handle)
        await self._registrar.let_go(view, [one], request)
        return True

    async def _gain(
        self,
        view: AccountView,
        handle: Identifier,
        change: ClaimChange,
        request: str,
        rename: bool,
        acting: ActingUnit | None,
        loses: AccountView | None = None,
    ) -> Gain:
        """Raises ClaimNotAllowed where the account has another one and does not rename;
        TooManyGivenBack."""
        home = view.home
        assert home is not None
        key, now_ms = stored_key(handle.normal), self._registrar.now_ms()
        gives = await self._given(view, key, request, rename, now_ms)
        before = view.record_now(home)
        record = _with_given_back(before, key, gives, now_ms)
        if acting is not None and (refusal := given_back_refusal(before, record, key, now_ms)):
            raise refusal
        holder = Holder(
            account=view.account, life_ms=home.first_ms, proved_ms=now_ms, findable=True
        )
        after = DirectoryClaim(holders=(holder,), handle=handle.normal, request=request)
        return Gain(
            change=ClaimChange(key=change.key, before=change.before, after=after),
            account=view,
            record=record,
            listed=Listed(key=key, request=request, handle=handle.normal),
            holder=holder,
            loses=loses,
            gives=gives,
        )

    async def _given(
        self, view: AccountView, key: str, request: str, rename: bool, now_ms: int
    ) -> tuple[ClaimChange, Listed] | None:
        for one in view.record.of_kind(KIND):
            if one.key == key:
                continue
            at = claim_key(view.tenant, one)
            pair, claim = await self._registrar.claim_at(at)
            if pair is None or claim is None or claim.holder(view.account) is None:
                continue
            if not rename:
                raise ClaimNotAllowed(
                    "HOLDS_ANOTHER",
                    f"the account has @{claim.handle}; give that one back first, or say that this "
                    "one takes its place (rename)",
                )
            after = freed(claim, view.account, request, now_ms)
            lease = await self._registrar.quarantine_lease()
            return ClaimChange(key=at, before=pair, after=after, lease=lease), one
        return None


def handle_of(text: str) -> Identifier:
    """Raises InvalidInput."""
    handle = read_handle(text)
    if isinstance(handle, Flaw):
        raise InvalidInput("handle", f"handle: {handle}")
    return handle


def _check_claimable(handle: Identifier, claim: DirectoryClaim | None, account: str) -> None:
    """Raises NameRefused for what nobody may have; who has it already may spell it otherwise."""
    if claim is not None and claim.holder(account) is not None:
        return
    if flaw := claim_flaw(handle):
        raise NameRefused(ClaimReason.RESERVED, str(flaw))


def _with_given_back(
    record: DirectoryAccount, key: str, gives: tuple[ClaimChange, Listed] | None, now_ms: int
) -> DirectoryAccount:
    """The record once the account has the handle of this key, and has given up another for it."""
    kept = record.keeps_from_others(now_ms, but=key)
    record = msgspec.structs.replace(record, given_back=kept)
    if gives is None or gives[0].after is None:
        return record
    return record.with_given_back(gives[1].key, gives[0].after.until_ms, now_ms)


def _is_its(claim: DirectoryClaim, view: AccountView, handle: Identifier) -> bool:
    holder = claim.holder(view.account)
    return holder is not None and claim.handle == handle.normal and view.has(holder.life_ms)


def _held(claim: DirectoryClaim, account: str, revision: int) -> HeldHandle:
    holder = claim.holder(account)
    since_ms = holder.proved_ms if holder is not None else 0
    return HeldHandle(handle=claim.handle, account=account, revision=revision, since_ms=since_ms)


def _busy() -> Conflict:
    return Conflict("others keep changing this claim, or the account; try again")
