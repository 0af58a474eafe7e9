"""Entry: what a ticket says of the account that a unit keeps, or does not. Pure.

A unit may keep an account of an earlier assignment, because it went and came back without its
state; of an earlier life, because its client was released and somebody has its id now; or of a
later one than the ticket's. Epochs tell assignments of one life apart, and the time of the first
assignment tells lives apart (see control_plane.identity.departures).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from deployment_units.services.state.owners import Owner, OwnerState


class Resident(msgspec.Struct, frozen=True, kw_only=True):
    """Whose home the unit is, as a good ticket says."""

    tenant: str
    account: str
    epoch: int
    first_ms: int = 0  # when this life began, Unix ms; 0: the ticket does not say


def resident_of(owner: Owner) -> Resident:
    """The account that an owner's rows belong to."""
    return Resident(
        tenant=owner.tenant, account=owner.account, epoch=owner.epoch, first_ms=owner.first_ms
    )


class Entry(StrEnum):
    """What becomes of what is kept. SAME: it is the resident's, and may be changed. LATER: so it
    is, of an earlier assignment: it goes on at this one. ANEW: it was another life's, and goes.
    LEAVING: it may not be changed now. STALE: the ticket is of an earlier assignment or life."""

    SAME = "same"
    LATER = "later"
    ANEW = "anew"
    LEAVING = "leaving"
    STALE = "stale"


def judge(kept: Owner | None, resident: Resident) -> Entry:
    """What a change by the resident finds."""
    if kept is None:
        return Entry.ANEW
    if kept.epoch == 0:  # nothing was kept when it was exported
        return Entry.LEAVING
    life = _life(kept, resident)
    if life:
        return Entry.ANEW if life > 0 else Entry.STALE
    if resident.epoch < kept.epoch:
        return Entry.STALE
    if resident.epoch > kept.epoch:  # it has a home here, whatever it left for before
        return Entry.LATER
    if kept.state is OwnerState.LEAVING:
        return Entry.LEAVING
    return Entry.SAME


def _life(kept: Owner, resident: Resident) -> int:
    """Whether the resident's life is later (1) or earlier (-1) than that of what is kept; 0: it is
    the same one, as far as is known."""
    if not resident.first_ms:
        return 0
    if kept.first_ms:
        return (resident.first_ms > kept.first_ms) - (resident.first_ms < kept.first_ms)
    return 1 if resident.first_ms > kept.since_ms else 0
