"""What may become of a claim: whose a name is, who is refused it and why. Pure; times are Unix ms.

A proof never takes a name away from who holds it. An e-mail address may be several accounts'; of
anything else that is held, a proof by another account makes a contest: the holder keeps it, and has
time to prove it again. Only then does another proof of the contestant take it over.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from control_plane.errors import AlreadyExists, Exhausted, Refused
from control_plane.identifiers.identifier import IdentifierKind
from provisioner.directory.claims import (
    MOST_GIVEN_BACK,
    MOST_HOLDERS,
    ClaimState,
    Contest,
    DirectoryAccount,
    DirectoryClaim,
    Holder,
    PendingClaim,
)

DAY_MS = 86_400_000
QUARANTINE_MS = 90 * DAY_MS
CONTEST_MS = 7 * DAY_MS
# A number that was not proved for so long may be somebody else's by now: carriers give them anew.
UNUSED_NUMBER_MS = 180 * DAY_MS
UNUSED_CONTEST_MS = DAY_MS
# Whoever is at a claim in two steps has deadlines far below this.
ABANDONED_MS = 60_000

SHARED_KINDS = frozenset({IdentifierKind.EMAIL.value})  # of several accounts at once


class ClaimReason(StrEnum):
    """Why a name cannot be had. For programs; values never change."""

    TAKEN = "TAKEN"
    LOOKS_LIKE = "LOOKS_LIKE"
    RESERVED = "RESERVED"
    QUARANTINED = "QUARANTINED"


class NameRefused(AlreadyExists):
    """Somebody else has the name, or nobody may have it. Take another one."""

    def __init__(self, reason: ClaimReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason.value


class ClaimNotAllowed(Refused):
    """The state of a claim or an account does not allow it; `reason` says which."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TooManyGivenBack(Exhausted):
    """The account keeps as many handles from others as one may."""

    reason = "TOO_MANY_GIVEN_BACK"


def given_back_refusal(
    before: DirectoryAccount, after: DirectoryAccount, key: str, now_ms: int
) -> TooManyGivenBack | None:
    """Why an account may not take the handle of this key: once it gave that back as well, it would
    keep more than MOST_GIVEN_BACK from others. One that it keeps from them already it may take
    again. after: its record with the handle, and without what it gives up for it; None: it may."""
    kept = after.keeps_from_others(now_ms)
    again = any(one.key == key for one in before.keeps_from_others(now_ms))
    if again or len(kept) < MOST_GIVEN_BACK:
        return None
    free_ms = min(one.until_ms for one in kept)
    return TooManyGivenBack(
        f"the account has given {len(kept)} handles back that are kept from others, as many as it "
        "may; take one of those again, or wait until one is free",
        retry_after_s=max(1.0, (free_ms - now_ms) / 1_000),
    )


def handle_refusal(
    claim: DirectoryClaim | None, handle: str, account: str, life_ms: int, now_ms: int
) -> NameRefused | None:
    """Why this account may not have the handle; None: it is free, or its own."""
    if claim is None:
        return None
    if claim.state is ClaimState.QUARANTINED:
        own = claim.freed_by == account and same_life(claim.freed_life_ms, life_ms)
        if now_ms >= claim.until_ms or own:
            return None
        return NameRefused(
            ClaimReason.QUARANTINED,
            f"@{handle}, or a name that looks like it, was somebody's until lately; it is kept "
            "from others for a while, choose another",
        )
    if not claim.holders or claim.holder(account) is not None:
        return None
    if claim.handle == handle:
        return NameRefused(ClaimReason.TAKEN, f"@{handle} is taken; choose another")
    return NameRefused(
        ClaimReason.LOOKS_LIKE, f"@{handle} looks like a handle that is taken; choose another"
    )


def same_life(one_ms: int, other_ms: int) -> bool:
    """Whether two first assignments can be one client's; 0: not recorded."""
    return not one_ms or not other_ms or one_ms == other_ms


def freed(claim: DirectoryClaim, account: str, request: str, now_ms: int) -> DirectoryClaim | None:
    """What becomes of a claim that an account lets go of; None: nothing is left. A handle is kept
    from others for QUARANTINE_MS; what was proved can be proved by whoever has it now."""
    gone = claim.holder(account)
    if gone is None:
        return claim
    if claim.handle:
        return DirectoryClaim(
            handle=claim.handle,
            request=request,
            freed_by=account,
            freed_life_ms=gone.life_ms,
            until_ms=now_ms + QUARANTINE_MS,
        )
    rest = tuple(one for one in claim.holders if one.account != account)
    return DirectoryClaim(holders=rest, request=request) if rest else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofOutcome:
    """after: the claim. held: whether the account has it now; else it is contested until then.
    loses: an account that does not have it any more."""

    after: DirectoryClaim
    held: bool
    until_ms: int = 0
    loses: str = ""


def after_proof(
    claim: DirectoryClaim | None,
    kind: str,
    holder: Holder,
    *,
    gone: Collection[str],
    request: str,
    now_ms: int,
) -> ProofOutcome:
    """What becomes of a claim that `holder.account` has proved. gone: accounts among its holders
    that are none any more. Raises ClaimNotAllowed where an address has MOST_HOLDERS."""
    account = holder.account
    there = () if claim is None else claim.holders
    others = tuple(one for one in there if one.account != account and one.account not in gone)
    if claim is None or not others:
        return ProofOutcome(after=DirectoryClaim(holders=(holder,), request=request), held=True)
    if claim.holder(account) is not None or kind in SHARED_KINDS:
        if len(others) >= MOST_HOLDERS:
            raise ClaimNotAllowed(
                "TOO_MANY_ACCOUNTS",
                f"{MOST_HOLDERS} accounts have this identifier, as many as may; release it from "
                "one of them",
            )
        # Who has it and proves it again has ended any contest.
        after = DirectoryClaim(holders=(*others, holder), request=request)
        return ProofOutcome(after=after, held=True)
    before, contest = others[0], claim.contest
    if contest is not None and contest.account == account and now_ms >= contest.until_ms:
        after = DirectoryClaim(holders=(holder,), request=request)
        return ProofOutcome(after=after, held=True, loses=before.account)
    if contest is None or contest.account != account:
        contest = Contest(
            account=account, since_ms=now_ms, until_ms=now_ms + contest_ms(kind, before, now_ms)
        )
    after = DirectoryClaim(holders=claim.holders, request=request, contest=contest)
    return ProofOutcome(after=after, held=False, until_ms=contest.until_ms)


def contest_ms(kind: str, holder: Holder, now_ms: int) -> int:
    """How long the holder has to prove it again."""
    unused = now_ms - holder.proved_ms >= UNUSED_NUMBER_MS
    return UNUSED_CONTEST_MS if kind == IdentifierKind.PHONE.value and unused else CONTEST_MS


def confirmed(claim: DirectoryClaim, pending: PendingClaim) -> DirectoryClaim:
    """The claim once its second step is made."""
    rest = () if pending.replaces else claim.holders
    others = tuple(one for one in rest if one.account != pending.holder.account)
    return DirectoryClaim(
        holders=(*others, pending.holder), handle=pending.handle, request=pending.request
    )


def withdrawn(claim: DirectoryClaim) -> DirectoryClaim | None:
    """The claim without what was pending; None: then nothing is left."""
    if not claim.holders and not claim.until_ms and claim.contest is None:
        return None
    return DirectoryClaim(
        holders=claim.holders,
        handle=claim.handle,
        request=claim.request,
        contest=claim.contest,
        freed_by=claim.freed_by,
        freed_life_ms=claim.freed_life_ms,
        until_ms=claim.until_ms,
    )


def settled(claim: DirectoryClaim, *, listed: bool) -> DirectoryClaim | None:
    """What a claim comes to whose server is gone. listed: whether the record of the account lists
    it, by the request that is pending."""
    assert claim.pending is not None
    return confirmed(claim, claim.pending) if listed else withdrawn(claim)
