"""KeyRotation: what operators see of the fleet's ticket keys, and how they add an epoch.

A new epoch is announced first: it is in the ring, so that units get its keys with their next
heartbeat, and signs nothing before they had time for that. The epochs before it are accepted
until the longest tickets that were signed with them have ended. No key leaves this module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from control_plane import keys
from control_plane.errors import InvalidInput, Refused
from control_plane.identity.key_ring_follower import KeyRingFollower
from control_plane.identity.keyring import IN_STORE, KeyRing, decode_ring, rotate_stored
from control_plane.store.port import Store

# An agent hears of keys with each heartbeat, 20 s apart at most, and may have to find another
# server first.
SIGN_AFTER_S = 120.0
# Servers whose clocks are behind sign a little longer with the epoch before.
CLOCKS_APART_S = 60.0
MOST_SIGN_AFTER_S = 7 * 86_400.0
MOST_ACCEPT_S = 90 * 86_400.0
# Each goes to every unit with its keys, and into every snapshot.
MOST_EPOCHS = 16


class EpochState(StrEnum):
    """What an epoch of ticket keys is good for at a time."""

    ANNOUNCED = "announced"  # units learn it; it does not sign yet
    SIGNING = "signing"
    ACCEPTED = "accepted"  # its tickets are good until they end, it signs no more


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochView:
    """One epoch without its keys; times are Unix seconds."""

    epoch: int
    state: EpochState
    created_at: float
    signs_from: float
    expires_at: float | None  # None: no epoch follows it yet


def epochs_of(ring: KeyRing, now: float) -> tuple[EpochView, ...]:
    """The epochs whose tickets are good, or will be, oldest first."""
    signing = ring.signing(now).epoch
    return tuple(
        EpochView(
            epoch=one.epoch,
            state=(
                EpochState.SIGNING
                if one.epoch == signing
                else EpochState.ANNOUNCED
                if one.epoch > signing
                else EpochState.ACCEPTED
            ),
            created_at=one.created_at,
            signs_from=max(one.signs_from, one.created_at),  # the first one signs at once
            expires_at=one.retires_at,
        )
        for one in ring.valid(now)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """The epochs after a call; `rotated`: whether it was this call that added one."""

    epochs: tuple[EpochView, ...]
    rotated: bool


class KeyRotation:
    """Of one server. longest_ticket_s: of any tenant now; wall: Unix seconds; random(n): n bytes
    from a cryptographic source."""

    def __init__(
        self,
        store: Store,
        follower: KeyRingFollower,
        *,
        longest_ticket_s: Callable[[], float],
        wall: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._follower = follower
        self._longest_ticket_s = longest_ticket_s
        self._wall = wall
        self._random = random

    @property
    def from_file(self) -> bool:
        """Whether the keys come from a file of this server, which no call rotates."""
        return self._follower.from_file

    async def epochs(self) -> tuple[EpochView, ...]:
        """As they stand in the store, or in the file that this server has read. Raises
        StoreUnavailable, InvalidInput."""
        pair = None if self.from_file else await self._store.get(keys.KEY_RING)
        ring = self._follower.ring
        if pair is not None:
            ring = await asyncio.to_thread(
                decode_ring, pair.value, IN_STORE, self._follower.wrapping
            )
        return epochs_of(ring, self._wall())

    async def rotate(
        self, replacing: int, *, sign_after_s: float | None = None, accept_s: float | None = None
    ) -> Rotated:
        """Adds an epoch that signs `sign_after_s` from now, and has those before it accepted for
        `accept_s` from then; None: what lets no ticket end early. Nothing changes where the
        newest epoch is not `replacing`, so the call may be repeated.

        Raises InvalidInput; Refused where the keys come from a file, or MOST_EPOCHS count
        already; StoreUnavailable, OutcomeUnknown.
        """
        if self.from_file:
            raise Refused(
                "this server has its ticket keys from a file (master_key_file), which no call "
                "changes; add an epoch to the file of every server and start them again"
            )
        if replacing < 1:
            raise InvalidInput(
                "replacing", "replacing must be the newest epoch, as ListTicketKeys tells it"
            )
        _check("sign_after", sign_after_s, MOST_SIGN_AFTER_S)
        _check("accept_ttl", accept_s, MOST_ACCEPT_S)
        now = self._wall()
        if accept_s is None:
            accept_s = self._longest_ticket_s() + CLOCKS_APART_S
        rotation = await rotate_stored(
            self._store,
            now=now,
            announce_s=SIGN_AFTER_S if sign_after_s is None else sign_after_s,
            overlap_s=accept_s,
            random=self._random,
            replacing=replacing,
            most_epochs=MOST_EPOCHS,
            wrapping=self._follower.wrapping,
        )
        return Rotated(epochs=epochs_of(rotation.ring, now), rotated=rotation.rotated)


def _check(field: str, value: float | None, most: float) -> None:
    if value is not None and not 0 <= value <= most:
        raise InvalidInput(field, f"{field} is {value:g} s; it must be 0 to {most / 86_400:g} days")
