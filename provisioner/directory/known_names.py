"""What a name is to one account: held, contested, contesting, quarantined, or nothing. Pure.

A unit knows the texts of its accounts' names, and the store only digests of most: so the unit asks
by text. What a name is to others is nobody's business, and looks like nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from control_plane.identifiers.identifier import Identifier
from provisioner.directory.claim_rules import same_life
from provisioner.directory.claims import ClaimState, DirectoryAccount, DirectoryClaim


class NameState(StrEnum):
    """CONTESTED: the account holds it, and another one has proved it. CONTESTING: the other way
    round. QUARANTINED: the account gave it back, and nobody else may have it yet."""

    NOTHING = "nothing"
    HELD = "held"
    CONTESTED = "contested"
    CONTESTING = "contesting"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownName:
    """claim_ms: when the account took or proved it last; end_ms: of the contest or the quarantine;
    Unix ms, 0: there is none."""

    state: NameState = NameState.NOTHING
    claim_ms: int = 0
    end_ms: int = 0
    findable: bool = False


NOTHING = KnownName()


def known_name(
    name: Identifier,
    claim: DirectoryClaim | None,
    record: DirectoryAccount,
    key: str,
    *,
    account: str,
    first_ms: int,
    now_ms: int,
) -> KnownName:
    """What `name` is to an account, by its claim, which stands under `key` in the account's record
    if that lists it. first_ms: the first assignment of the account's client."""
    if claim is None or (claim.handle and claim.handle != name.normal):
        return NOTHING
    if claim.state is ClaimState.QUARANTINED:
        own = claim.freed_by == account and same_life(claim.freed_life_ms, first_ms)
        if not own or now_ms >= claim.until_ms:
            return NOTHING
        return KnownName(state=NameState.QUARANTINED, end_ms=claim.until_ms)
    holder, contest = claim.holder(account), claim.contest
    if holder is None:
        if contest is None or contest.account != account:
            return NOTHING
        return KnownName(state=NameState.CONTESTING, end_ms=contest.until_ms)
    if not same_life(holder.life_ms, first_ms) or not record.lists(name.kind.value, key):
        return NOTHING
    return KnownName(
        state=NameState.HELD if contest is None else NameState.CONTESTED,
        claim_ms=holder.proved_ms,
        end_ms=0 if contest is None else contest.until_ms,
        findable=holder.findable,
    )
