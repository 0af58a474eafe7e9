"""Holdings: what an account has, by its record and by the claims themselves.

A record may list for a moment what its account has no more; what no claim says is not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from control_plane.store.port import Get, Txn
from provisioner.directory.accounts import ActingUnit, check_home, view_account
from provisioner.directory.claims import Contest, Holder, Listed, decode_claim
from provisioner.directory.registrar import Registrar, claim_key
from provisioner.ledger.assignment import AssignmentRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One claim of the account. contest: somebody else has proved it."""

    listed: Listed
    holder: Holder
    handle: str  # how it is spelt; empty: another identifier
    contest: Contest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountHoldings:
    """All of them, handles first, then by kind and digest."""

    account: str
    home: AssignmentRecord
    held: Sequence[Holding]


class Holdings:
    """Over a registrar."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar

    async def of(self, tenant: str, account: str, acting: ActingUnit | None) -> AccountHoldings:
        """Raises NotFound, ClaimNotAllowed; DataLoss; Unavailable."""
        view = await view_account(self._registrar.accounts, tenant, account)
        home = check_home(view, acting)
        listed = () if view.is_former else view.record.listed
        held = []
        if listed:
            read = Txn(then=[Get(claim_key(tenant, one)) for one in listed])
            found = (await self._registrar.claims.commit(read)).results
            for one, pairs in zip(listed, found, strict=True):
                claim = decode_claim(pairs[0] if pairs else None)
                holder = claim.holder(account) if claim is not None else None
                if claim is not None and holder is not None:
                    held.append(
                        Holding(
                            listed=one, holder=holder, handle=claim.handle, contest=claim.contest
                        )
                    )
        held.sort(key=lambda one: (not one.handle, one.listed.kind, one.listed.key))
        return AccountHoldings(account=account, home=home, held=held)
