"""Wrapped key rings: closed to whoever has the store, open to whoever has the key, never lost."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from control_plane import keys
from control_plane.errors import InvalidInput
from control_plane.identity.key_ring_follower import KeyRingFollower
from control_plane.identity.key_rotation import KeyRotation
from control_plane.identity.key_wrapping import (
    KeyWrapping,
    NoWrapping,
    PassphraseWrapping,
    Wrapping,
    read_wrapping,
)
from control_plane.identity.keyring import (
    KeyRing,
    decode_ring,
    encode_ring,
    load_or_create,
    new_epoch,
    read_ring,
)
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import KeyValue, Put, Store, Txn

NOW = 1_800_000_000.0
KEY, OTHER = b"k" * 32, b"o" * 32
PHRASE = "a long passphrase"
RING = KeyRing(epochs=(new_epoch(1, now=NOW, random=os.urandom),))


def by_key(key: bytes = KEY, *before: bytes) -> Wrapping:
    return KeyWrapping(key, *before, random=os.urandom)


def by_phrase(phrase: str = PHRASE) -> Wrapping:
    return PassphraseWrapping(phrase, random=os.urandom)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


@pytest.mark.parametrize("make", [by_key, by_phrase], ids=["key", "passphrase"])
def test_it_opens_with_its_key_and_shows_nothing(make: Callable[[], Wrapping]) -> None:
    wrapped = encode_ring(RING, make())
    assert decode_ring(wrapped, "it", make()) == RING  # another process with the same key
    for secret in (RING.newest.master, RING.newest.ed25519):
        assert secret.encode() not in wrapped
        assert base64.b64decode(secret) not in wrapped
    assert wrapped != encode_ring(RING, make()), "each time another nonce"


@pytest.mark.parametrize("make", [by_key, by_phrase], ids=["key", "passphrase"])
def test_what_is_not_wrapped_yet_is_read(make: Callable[[], Wrapping]) -> None:
    assert decode_ring(encode_ring(RING), "it", make()) == RING


@pytest.mark.parametrize(
    ("written_with", "read_with", "said"),
    [
        pytest.param(by_key(), NoWrapping(), "--key-wrapping-file", id="no-key"),
        pytest.param(by_phrase(), NoWrapping(), "or give its passphrase", id="no-passphrase"),
        pytest.param(by_key(), by_key(OTHER), "give the right key", id="another-key"),
        pytest.param(by_phrase(), by_phrase("another passphrase"), "another passphrase",
                     id="another-passphrase"),
        pytest.param(by_key(), by_phrase(), "with a key of a file", id="a-passphrase-for-a-key"),
        pytest.param(by_phrase(), by_key(), "give the right key", id="a-key-for-a-passphrase"),
    ],
)  # fmt: skip
def test_another_key_is_said_to_be_that(
    written_with: Wrapping, read_with: Wrapping, said: str
) -> None:
    wrapped = encode_ring(RING, written_with)
    with pytest.raises(InvalidInput, match=said) as caught:
        decode_ring(wrapped, "the store's keys/ring", read_with)
    assert caught.value.message.startswith("the store's keys/ring is wrapped")


def test_keys_change_by_naming_the_old_one_behind_the_new_one() -> None:
    wrapped = encode_ring(RING, by_key(OTHER))
    both = by_key(KEY, OTHER)
    assert decode_ring(wrapped, "it", both) == RING
    assert decode_ring(encode_ring(RING, both), "it", by_key(KEY)) == RING


@pytest.mark.parametrize("field", ["nonce", "content"])
def test_what_was_altered_does_not_open(field: str) -> None:
    document = json.loads(encode_ring(RING, by_key()))
    content = bytearray(base64.b64decode(document[field]))
    for place in (0, len(content) // 2, len(content) - 1):
        altered = bytearray(content)
        altered[place] ^= 1
        changed = {**document, field: base64.b64encode(altered).decode()}
        with pytest.raises(InvalidInput, match="is altered"):
            decode_ring(json.dumps(changed).encode(), "it", by_key())


async def test_the_first_server_wraps_and_those_with_the_passphrase_follow(store: Store) -> None:
    first = await load_or_create(store, path=None, now=NOW, random=os.urandom, wrapping=by_phrase())
    stored = await store.get(keys.KEY_RING)
    assert stored is not None
    assert first.newest.master.encode() not in stored.value
    assert await load_or_create(
        store, path=None, now=NOW, random=os.urandom, wrapping=by_phrase()
    ) == first  # fmt: skip
    for wrong in (NoWrapping(), by_phrase("another passphrase"), by_key()):
        with pytest.raises(InvalidInput, match="is wrapped"):
            await load_or_create(store, path=None, now=NOW, random=os.urandom, wrapping=wrong)


@pytest.mark.parametrize("make", [by_key, by_phrase], ids=["key", "passphrase"])
async def test_a_ring_that_was_not_wrapped_is_with_the_next_write(
    store: Store, make: Callable[[], Wrapping]
) -> None:
    plain = await load_or_create(store, path=None, now=NOW, random=os.urandom)
    follower = KeyRingFollower(store, None, wall=lambda: NOW, random=os.urandom, wrapping=make())
    await follower.start()
    assert follower.ring == plain
    rotation = KeyRotation(
        store, follower, longest_ticket_s=lambda: 60.0, wall=lambda: NOW, random=os.urandom
    )
    await rotation.rotate(1)
    assert [one.epoch for one in await rotation.epochs()] == [1, 2]
    stored = await store.get(keys.KEY_RING)
    assert stored is not None
    assert plain.newest.master.encode() not in stored.value
    # A snapshot has what the store has.
    pair = KeyValue(keys.KEY_RING, stored.value, 1, 1, 1)
    KeyRingFollower.check([pair], None, make())
    with pytest.raises(InvalidInput, match="the snapshot is wrapped"):
        KeyRingFollower.check([pair], None)


async def test_a_ring_of_a_file_may_be_wrapped_too(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "ring"
    path.touch(mode=0o600)
    path.write_bytes(encode_ring(RING, by_key()))
    assert read_ring(path, by_key()) == RING
    with pytest.raises(InvalidInput, match=f"{path} is wrapped"):
        read_ring(path)


async def test_a_follower_keeps_its_keys_where_the_ring_does_not_open(store: Store) -> None:
    follower = KeyRingFollower(store, None, wall=lambda: NOW, random=os.urandom, wrapping=by_key())
    await follower.start()
    before = follower.ring
    foreign = encode_ring(RING, by_key(OTHER))
    await store.commit(Txn(then=[Put(keys.KEY_RING, foreign)]))
    with pytest.raises(InvalidInput, match="give the right key"):
        await follower.start()
    assert follower.ring == before


def key_file(folder: Path, content: str, mode: int = 0o600) -> Path:
    path = folder / "wrapping.key"
    path.write_text(content)
    path.chmod(mode)
    return path


def test_a_key_file_holds_the_key_and_older_ones(tmp_path: Path) -> None:
    texts = [base64.b64encode(one).decode() for one in (KEY, OTHER)]
    for content in (f"{texts[0]}\n", ",".join(texts), f"{texts[0]}, {texts[1]}\n"):
        made = read_wrapping(key_file(tmp_path, content), "", random=os.urandom)
        assert decode_ring(encode_ring(RING, made), "it", by_key()) == RING
    assert decode_ring(encode_ring(RING, by_key(OTHER)), "it", made) == RING


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        pytest.param("", 0o600, "as one line", id="empty"),
        pytest.param("secret\n", 0o600, "32 bytes in base64", id="a-word"),
        pytest.param(base64.b64encode(b"k" * 16).decode(), 0o600, "32 bytes", id="too-short"),
        pytest.param(base64.b64encode(KEY).decode() + ",", 0o600, "32 bytes", id="half-a-list"),
        pytest.param(base64.b64encode(KEY).decode(), 0o644, "chmod 600", id="open-to-all"),
    ],
)
def test_a_file_that_is_no_key_is_refused(
    tmp_path: Path, content: str, mode: int, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_wrapping(key_file(tmp_path, content, mode), "", random=os.urandom)


def test_one_way_and_a_passphrase_worth_its_name(tmp_path: Path) -> None:
    assert isinstance(read_wrapping(None, "", random=os.urandom), NoWrapping)
    with pytest.raises(InvalidInput, match="both given"):
        read_wrapping(tmp_path / "x", PHRASE, random=os.urandom)
    with pytest.raises(InvalidInput, match="shorter than 12"):
        read_wrapping(None, "short", random=os.urandom)
