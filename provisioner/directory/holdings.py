"""Holdings: what an account has, and what names are to it, by its record and the claims themselves.

A record may list for a moment what its account has no more; what no claim says is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from control_plane import keys
from control_plane.identifiers.identifier import Identifier, IdentifierKind
from control_plane.identifiers.skeleton import stored_key
from control_plane.identity.pepper_ring import DirectorySecrets
from control_plane.store.port import Get, Txn
from provisioner.directory.accounts import AccountView, ActingUnit, check_home, view_account
from provisioner.directory.claims import Contest, DirectoryClaim, Holder, Listed, decode_claim
from provisioner.directory.known_names import NOTHING, KnownName, known_name
from provisioner.directory.registrar import Registrar, claim_key
from provisioner.ledger.assignment import AssignmentRecord

MOST_KNOWN = 96  # names in one question
_READ_AT_ONCE = 100  # keys in one transaction, of which etcd takes 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One claim of the account. contest: somebody else has proved it."""

    listed: Listed
    holder: Holder
    handle: str  # how it is spelt; empty: another identifier
    contest: Contest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountHoldings:
    """All of them, handles first, then by kind and digest. known: what the names that were asked
    for are to it, in their order."""

    account: str
    home: AssignmentRecord
    held: Sequence[Holding]
    known: Sequence[KnownName] = ()


class Holdings:
    """Over a registrar."""

    def __init__(self, registrar: Registrar, *, secrets: Callable[[], DirectorySecrets]) -> None:
        self._registrar = registrar
        self._secrets = secrets

    async def of(
        self,
        tenant: str,
        account: str,
        acting: ActingUnit | None,
        known: Sequence[Identifier] = (),
    ) -> AccountHoldings:
        """known: at most MOST_KNOWN. Raises NotFound, ClaimNotAllowed; DataLoss; Unavailable."""
        view = await view_account(self._registrar.accounts, tenant, account)
        home = check_home(view, acting)
        listed = () if view.is_former else view.record.listed
        claims = await self._claims([claim_key(tenant, one) for one in listed])
        held = []
        for one, claim in zip(listed, claims, strict=True):
            holder = claim.holder(account) if claim is not None else None
            if claim is not None and holder is not None:
                held.append(
                    Holding(listed=one, holder=holder, handle=claim.handle, contest=claim.contest)
                )
        held.sort(key=lambda one: (not one.handle, one.listed.kind, one.listed.key))
        return AccountHoldings(
            account=account,
            home=home,
            held=held,
            known=await self._known(view, home.first_ms, known),
        )

    async def _known(
        self, view: AccountView, first_ms: int, names: Sequence[Identifier]
    ) -> list[KnownName]:
        """What these are to the account, each under whichever digest it stands."""
        if view.is_former:
            return [NOTHING] * len(names)
        places = [(n, *at) for n, name in enumerate(names) for at in self._places(view, name)]
        claims = await self._claims([key for _, key, _ in places])
        found, now_ms = [NOTHING] * len(names), self._registrar.now_ms()
        for (n, _, listed_as), claim in zip(places, claims, strict=True):
            one = known_name(
                names[n], claim, view.record, listed_as,
                account=view.account, first_ms=first_ms, now_ms=now_ms,
            )  # fmt: skip
            if found[n] is NOTHING:
                found[n] = one
        return found

    def _places(self, view: AccountView, name: Identifier) -> list[tuple[bytes, str]]:
        """Where a claim of it may be, and what an account's record lists it by."""
        tenant, kind = view.tenant, name.kind.value
        if name.kind is IdentifierKind.HANDLE:
            key = stored_key(name.normal)
            return [(keys.handle_claim(tenant, key), key)]
        digests = self._secrets().digests.digests(tenant, name)
        return [(keys.identifier_claim(tenant, kind, one), one) for one in digests]

    async def _claims(self, at: Sequence[bytes]) -> list[DirectoryClaim | None]:
        """What stands there, as of one revision for each hundred."""
        found: list[DirectoryClaim | None] = []
        for start in range(0, len(at), _READ_AT_ONCE):
            read = Txn(then=[Get(key) for key in at[start : start + _READ_AT_ONCE]])
            results = (await self._registrar.claims.commit(read)).results
            found += [decode_claim(pairs[0] if pairs else None) for pairs in results]
        return found
