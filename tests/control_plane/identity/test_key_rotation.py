"""Rotation as operators trigger it: announced, overlapping, once for each epoch replaced."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput, Refused
from control_plane.identity.admission import AdmissionReason, TicketVerifier
from control_plane.identity.key_ring_follower import KeyRingFollower
from control_plane.identity.key_rotation import (
    CLOCKS_APART_S,
    MOST_EPOCHS,
    SIGN_AFTER_S,
    EpochState,
    EpochView,
    KeyRotation,
)
from control_plane.identity.keyring import KeyRing, encode_ring, new_epoch
from control_plane.identity.tickets import TicketIssuer
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Store

NOW, LONGEST_S = 1_800_000_000.0, 3_600.0


class Fleet:
    """A server that signs, and what its operator can do; `now` is its clock."""

    def __init__(self, store: Store, path: Path | None = None) -> None:
        self.now = NOW
        self.follower = KeyRingFollower(store, path, wall=lambda: self.now, random=os.urandom)
        self.rotation = KeyRotation(
            store,
            self.follower,
            longest_ticket_s=lambda: LONGEST_S,
            wall=lambda: self.now,
            random=os.urandom,
        )

    def issuer(self) -> TicketIssuer:
        return TicketIssuer(self.follower.ring)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


def states(epochs: Iterable[EpochView]) -> list[tuple[int, str]]:
    return [(one.epoch, one.state.value) for one in epochs]


async def test_an_epoch_is_announced_then_signs_and_those_before_it_end(store: Store) -> None:
    fleet = Fleet(store)
    await fleet.follower.start()
    (only,) = await fleet.rotation.epochs()
    assert only == EpochView(
        epoch=1, state=EpochState.SIGNING, created_at=NOW, signs_from=NOW, expires_at=None
    )
    fleet.now += 100.0
    done = await fleet.rotation.rotate(1)
    assert done.rotated
    assert states(done.epochs) == [(1, "signing"), (2, "announced")]
    switch = fleet.now + SIGN_AFTER_S
    assert done.epochs[1].signs_from == switch
    assert done.epochs[0].expires_at == switch + LONGEST_S + CLOCKS_APART_S
    seen = []
    for fleet.now in (switch - 1.0, switch, done.epochs[0].expires_at or 0.0):
        seen.append(states(await fleet.rotation.epochs()))
    assert seen == [
        [(1, "signing"), (2, "announced")],
        [(1, "accepted"), (2, "signing")],
        [(2, "signing")],
    ]


async def test_no_ticket_that_is_out_ends_early_and_none_is_signed_that_units_do_not_know(
    store: Store,
) -> None:
    fleet = Fleet(store)
    await fleet.follower.start()
    await fleet.rotation.rotate(1)
    await fleet.follower.start()
    issuer = fleet.issuer()
    unit = TicketVerifier("u", issuer.keys_for("u"))
    for after_s in (0.0, SIGN_AFTER_S - 1, SIGN_AFTER_S, SIGN_AFTER_S + 1):
        signed_at = NOW + after_s
        ticket = issuer.issue("u", "t", "c", 1, signed_at, LONGEST_S)
        for at in (signed_at, signed_at + LONGEST_S - 1):
            assert unit.verify(ticket, at).admitted, (after_s, at)


async def test_after_a_leak_the_old_keys_are_worth_nothing(store: Store) -> None:
    fleet = Fleet(store)
    await fleet.follower.start()
    old = fleet.issuer().issue("u", "t", "c", 1, NOW, LONGEST_S)
    await fleet.rotation.rotate(1)  # whose epoch does not sign yet, and goes as well
    fleet.now += 1.0
    done = await fleet.rotation.rotate(2, sign_after_s=0.0, accept_s=0.0)
    assert states(done.epochs) == [(3, "signing")]
    await fleet.follower.start()
    unit = TicketVerifier("u", fleet.issuer().keys_for("u", fleet.now))
    assert unit.verify(old, fleet.now).reason is AdmissionReason.FORGED
    new = fleet.issuer().issue("u", "t", "c", 1, fleet.now, LONGEST_S)
    assert unit.verify(new, fleet.now).admitted


async def test_of_many_who_replace_the_same_epoch_one_does(store: Store) -> None:
    fleet = Fleet(store)
    await fleet.follower.start()
    done = await asyncio.gather(*(fleet.rotation.rotate(1) for _ in range(8)))
    assert sorted(one.rotated for one in done) == [False] * 7 + [True]
    assert {states(one.epochs)[-1] for one in done} == {(2, "announced")}


async def test_the_ring_is_bounded(store: Store) -> None:
    fleet = Fleet(store)
    await fleet.follower.start()
    for newest in range(1, MOST_EPOCHS):
        assert (await fleet.rotation.rotate(newest)).rotated
    with pytest.raises(Refused, match="16 epochs of ticket keys count already"):
        await fleet.rotation.rotate(MOST_EPOCHS)
    # A leak must not have to wait.
    assert (await fleet.rotation.rotate(MOST_EPOCHS, sign_after_s=0, accept_s=0)).rotated


@pytest.mark.parametrize(
    ("replacing", "options", "said"),
    [
        (0, {}, "replacing must be the newest epoch"),
        (1, {"sign_after_s": -1.0}, "sign_after is -1 s; it must be 0 to 7 days"),
        (1, {"sign_after_s": 8 * 86_400.0}, "must be 0 to 7 days"),
        (1, {"accept_s": -0.1}, "accept_ttl is -0.1 s; it must be 0 to 90 days"),
        (1, {"accept_s": 1e9}, "must be 0 to 90 days"),
    ],
)
async def test_what_means_nothing_changes_nothing(
    store: Store, replacing: int, options: dict[str, float], said: str
) -> None:
    fleet = Fleet(store)
    await fleet.follower.start()
    with pytest.raises(InvalidInput, match=said):
        await fleet.rotation.rotate(replacing, **options)
    assert states(await fleet.rotation.epochs()) == [(1, "signing")]


async def test_keys_of_a_file_are_shown_and_not_rotated(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "ring.json"
    path.write_bytes(encode_ring(KeyRing(epochs=(new_epoch(7, now=NOW, random=os.urandom),))))
    path.chmod(0o600)
    fleet = Fleet(store, path)
    await fleet.follower.start()
    assert fleet.rotation.from_file
    assert states(await fleet.rotation.epochs()) == [(7, "signing")]
    with pytest.raises(Refused, match="from a file"):
        await fleet.rotation.rotate(7)


async def test_no_key_is_in_what_is_shown(store: Store) -> None:
    fleet = Fleet(store)
    await fleet.follower.start()
    secret = fleet.follower.ring.newest
    shown = repr(await fleet.rotation.rotate(1))
    assert secret.master not in shown
    assert secret.ed25519 not in shown
