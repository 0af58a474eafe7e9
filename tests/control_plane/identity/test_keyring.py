"""Keys: derived as RFC 5869 says, rotated with an announcement and an overlap, once."""

import asyncio
import base64
import hashlib
import hmac
import os
from collections.abc import Callable

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.identity.admission import AdmissionReason, TicketVerifier
from control_plane.identity.keyring import (
    KeyRing,
    decode_ring,
    encode_ring,
    load_or_create,
    new_epoch,
    read_ring,
    rotate_stored,
    rotated,
    unit_key,
)
from control_plane.identity.tickets import TicketIssuer
from control_plane.store.embedded import EmbeddedStore

NOW = 1_800_000_000.0
ANNOUNCE_S, OVERLAP_S, TTL_S = 60.0, 3600.0, 600.0
RING = KeyRing(epochs=(new_epoch(1, now=NOW, random=os.urandom),))


def rfc5869(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256 as section 2 of the RFC writes it, to hold ours to."""
    pseudorandom = hmac.digest(salt, secret, hashlib.sha256)
    made, block = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(pseudorandom, block + info + bytes([counter]), hashlib.sha256)
        made += block
    return made[:length]


@pytest.mark.parametrize(
    ("secret", "salt", "info", "length", "expected"),
    [
        pytest.param(
            "0b" * 22, "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9", 42,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
            id="appendix A.1, basic",
        ),
        pytest.param(
            bytes(range(80)).hex(), bytes(range(0x60, 0xB0)).hex(),
            bytes(range(0xB0, 0x100)).hex(), 82,
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c6"
            "5e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
            id="appendix A.2, longer",
        ),
        pytest.param(
            "0b" * 22, "", "", 42,
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
            id="appendix A.3, without salt and info",
        ),
    ],
)  # fmt: skip
def test_the_reference_matches_the_vectors_of_the_rfc(
    secret: str, salt: str, info: str, length: int, expected: str
) -> None:
    made = rfc5869(bytes.fromhex(secret), bytes.fromhex(salt), bytes.fromhex(info), length)
    assert made.hex() == expected


@given(master=st.binary(min_size=32, max_size=32), unit_id=st.text("abc09-.", min_size=1))
def test_a_units_key_is_hkdf_of_the_master_with_unit_and_epoch_in_its_info(
    master: bytes, unit_id: str
) -> None:
    epoch = new_epoch(7, now=NOW, random=lambda size: master[:size])
    expected = rfc5869(master, b"homeport ticket key v1", f"unit {unit_id} epoch 7".encode(), 32)
    assert unit_key(epoch, unit_id) == expected


def test_every_unit_and_every_epoch_has_a_key_of_its_own() -> None:
    later = rotated(RING, now=NOW, overlap_s=OVERLAP_S, random=os.urandom).newest
    same_secret = new_epoch(2, now=NOW, random=lambda n: base64.b64decode(RING.newest.master)[:n])
    made = {
        unit_key(epoch, unit)
        for epoch in (RING.newest, later, same_secret)
        for unit in ("eu-west", "eu-west-1", "us-east")
    }
    assert len(made) == 9


def test_a_new_epoch_is_known_before_it_signs_and_the_old_one_verifies_after() -> None:
    """The whole life of a rotation, as a unit sees it that got its keys at the beginning."""
    issuer = TicketIssuer(RING)
    generation = issuer.generation
    issuer.use(rotated(RING, now=NOW, announce_s=ANNOUNCE_S, overlap_s=OVERLAP_S,
                       random=os.urandom))  # fmt: skip
    assert issuer.generation > generation
    door = TicketVerifier("eu-west", issuer.keys_for("eu-west", NOW))

    def kid_at(now: float) -> str:
        ticket = issuer.issue("eu-west", "default", "alice", 1, now, TTL_S)
        assert door.verify(ticket, now).admitted
        signed = issuer.issue_eddsa("eu-west", "default", "alice", 1, now, TTL_S)
        assert door.verify(signed, now).admitted
        kids = [jwt.get_unverified_header(one)["kid"] for one in (ticket, signed)]
        assert kids[1] == kids[0].replace("u", "e")
        return kids[0]

    assert kid_at(NOW) == "u1"
    assert kid_at(NOW + ANNOUNCE_S - 0.001) == "u1"
    last = issuer.issue("eu-west", "default", "bob", 1, NOW + ANNOUNCE_S - 1, OVERLAP_S * 2)
    assert kid_at(NOW + ANNOUNCE_S) == "u2"
    assert door.verify(last, NOW + ANNOUNCE_S + OVERLAP_S).admitted
    assert door.verify(last, NOW + ANNOUNCE_S + OVERLAP_S + 1).reason is AdmissionReason.FORGED


def test_after_a_leak_every_old_ticket_ends_at_once() -> None:
    """Also those of an epoch that was retiring anyway."""
    ring = rotated(RING, now=NOW, overlap_s=OVERLAP_S, random=os.urandom)
    oldest = TicketIssuer(RING).issue("eu-west", "default", "alice", 1, NOW, TTL_S)
    old = TicketIssuer(ring).issue("eu-west", "default", "alice", 1, NOW, TTL_S)
    issuer = TicketIssuer(rotated(ring, now=NOW + 1, overlap_s=0.0, random=os.urandom))
    door = TicketVerifier("eu-west", issuer.keys_for("eu-west"))
    new = issuer.issue("eu-west", "default", "alice", 1, NOW + 1, TTL_S)
    assert door.verify(new, NOW + 2).admitted
    assert [door.verify(one, NOW + 2).reason for one in (oldest, old)] == [
        AdmissionReason.FORGED
    ] * 2


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 9000), st.floats(0, 200), st.floats(0, 9000)), max_size=6
    ),
    ahead=st.floats(0, 20_000),
)
def test_whatever_the_rotations_exactly_one_valid_epoch_signs(
    steps: list[tuple[float, float, float]], ahead: float
) -> None:
    """And it verifies for as long as it signs; the set of keys stays as small as overlaps allow."""
    ring, now = RING, NOW
    for wait_s, announce_s, overlap_s in steps:
        now += wait_s
        ring = rotated(ring, now=now, announce_s=announce_s, overlap_s=overlap_s, random=os.urandom)
        assert [e.epoch for e in ring.epochs] == sorted({e.epoch for e in ring.epochs})
    then = now + ahead
    assert ring.signing(then) in ring.valid(then)
    assert ring.signing(ring.next_switch(then)) is ring.newest or len(ring.epochs) > 2
    assert decode_ring(encode_ring(ring), "here") == ring


def test_a_ring_written_before_epochs_were_announced_is_still_read() -> None:
    old = encode_ring(RING).replace(b',"signs_from":0.0', b"")
    assert b"signs_from" not in old
    assert decode_ring(old, "here") == RING


def _reversed(ring: KeyRing) -> bytes:
    both = rotated(ring, now=NOW, overlap_s=OVERLAP_S, random=os.urandom)
    return encode_ring(KeyRing(epochs=both.epochs[::-1]))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(_reversed, "count upwards", id="epochs out of order"),
        pytest.param(
            lambda ring: encode_ring(ring).replace(b'"retires_at":null', b'"retires_at":1.0'),
            "must not retire",
            id="no epoch left to sign for ever",
        ),
        pytest.param(lambda ring: b"\xff", "not a key ring", id="not even text"),
    ],
)
def test_a_ring_that_cannot_work_is_refused(make: Callable[[KeyRing], bytes], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        decode_ring(make(RING), "the file")


def test_secrets_do_not_stand_in_the_representation_of_a_ring() -> None:
    """Rings end up in logs and tracebacks."""
    assert RING.newest.master not in repr(RING)
    assert RING.newest.ed25519 not in repr(RING)


async def test_of_several_servers_that_rotate_at_once_one_does(tmp_path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    first = await load_or_create(store, path=None, now=NOW, random=os.urandom)

    async def rotate() -> KeyRing:
        rotation = await rotate_stored(
            store, now=NOW, overlap_s=OVERLAP_S, random=os.urandom, replacing=first.newest.epoch
        )
        did.append(rotation.rotated)
        return rotation.ring

    did: list[bool] = []
    rings = await asyncio.gather(*(rotate() for _ in range(8)))
    assert did.count(True) == 1
    assert {ring.newest.epoch for ring in rings} == {2}
    assert all(ring == rings[0] for ring in rings)
    assert await rotate() == rings[0]
    await store.close()


async def test_a_ring_from_a_file_counts_and_the_store_is_left_alone(tmp_path) -> None:
    path = tmp_path / "ring.json"
    path.write_bytes(encode_ring(RING))
    path.chmod(0o600)
    store = await EmbeddedStore.open(tmp_path / "store.db")
    assert await load_or_create(store, path=path, now=NOW, random=os.urandom) == RING
    assert store.health.last_revision <= 1
    await store.close()


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o660])
def test_a_ring_that_others_may_read_is_refused(tmp_path, mode: int) -> None:
    path = tmp_path / "ring.json"
    path.write_bytes(encode_ring(RING))
    path.chmod(mode)
    with pytest.raises(InvalidInput, match=f"mode {mode:o}"):
        read_ring(path)


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(InvalidInput, match=r"ring\.json cannot be read"):
        read_ring(tmp_path / "ring.json")
