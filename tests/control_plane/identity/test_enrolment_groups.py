"""Groups: whose tokens are made outside, and count for one client of one tenant."""

from __future__ import annotations

import hmac
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane import keys
from control_plane.errors import AlreadyExists, Exhausted
from control_plane.identity.enrolment_groups import EnrolmentGroups
from control_plane.identity.jws import base64url, from_base64url
from control_plane.identity.key_wrapping import KeyWrapping, NoWrapping
from control_plane.store.embedded.store import EmbeddedStore
from control_plane.store.port import Put, Txn
from homeport.enrolment import hmac_token

NOW = 1_700_000_000.0
MOST_GROUPS = 4


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    yield store
    await store.close()


def groups_on(store: EmbeddedStore, wrapping=None) -> EnrolmentGroups:
    return EnrolmentGroups(store, wrapping or NoWrapping(), random=os.urandom, wall=lambda: NOW)


async def test_a_token_proves_the_client_it_was_made_for(store):
    key = await groups_on(store).add("city", "line-3")
    groups = groups_on(store)
    await groups.start()
    made = hmac_token(group="line-3", key=key, tenant="city", client_id="meter-1")
    assert groups.proves(made, "city", "meter-1")
    assert not groups.proves(made, "city", "meter-2")
    assert not groups.proves(made, "bank", "meter-1")
    for wrong in (made[:-1], made + "A", made.replace("line-3", "line-4"), "hmac..", "hmac.", "",
                  "hmac.line-3.", "hmac.line-3.ä", "boot" + made[4:],
                  made[:-44] + "-" + made[-43:], made[:-44] + ".." + made[-43:]):  # fmt: skip
        assert not groups.proves(wrong, "city", "meter-1")


@pytest.mark.parametrize("client_id", ["m", "meter-1", "a.b", "é" * 64, "x" * 128])
async def test_a_token_is_the_hmac_of_tenant_and_client(store, client_id):
    """RFC 2104 as the standard library has it, next to what servers do with its pads hashed."""
    key = from_base64url(await groups_on(store).add("city", "g"))
    groups = groups_on(store)
    await groups.start()
    mac = hmac.digest(key, f"city/{client_id}".encode(), "sha256")
    token = f"hmac.g.{base64url(mac).decode()}"
    assert groups.proves(token, "city", client_id)
    # 256 bits end within the last digit: others that stand for the same bits are other texts.
    for last in set("ABCDEFGH") - {token[-1]}:
        assert not groups.proves(token[:-1] + last, "city", client_id)
    assert not groups.proves(token + "=", "city", client_id)


async def test_what_is_too_long_to_be_an_id_is_proved_by_nothing(store):
    groups = groups_on(store)
    key = await groups.add("city", "g")
    await groups.start()
    made = hmac_token(group="g", key=key, tenant="city", client_id="x" * 129)
    assert not groups.proves(made, "city", "x" * 129)


async def test_a_removed_group_counts_no_more(store):
    groups = groups_on(store)
    key = await groups.add("city", "line-3")
    assert await groups.remove("city", "line-3")
    assert not await groups.remove("city", "line-3")
    again = groups_on(store)
    await again.start()
    made = hmac_token(group="line-3", key=key, tenant="city", client_id="meter-1")
    assert not again.proves(made, "city", "meter-1")


async def test_a_group_is_made_once_and_lists_without_its_key(store):
    groups = groups_on(store)
    await groups.add("city", "b")
    await groups.add("city", "a")
    await groups.add("city-2", "c")
    with pytest.raises(AlreadyExists):
        await groups.add("city", "a")
    assert await groups.list("city") == [("a", NOW, {}), ("b", NOW, {})]


async def test_a_group_says_with_what_its_clients_are_made_and_older_ones_nothing(store):
    groups = groups_on(store)
    key = await groups.add("city", "a", {"kind": "meter"})
    await groups.start()
    made = hmac_token(group="a", key=key, tenant="city", client_id="meter-1")
    assert groups.gives(made, "city") == {"kind": "meter"}
    assert groups.gives(made, "bank") == groups.gives("hmac.b." + "A" * 43, "city") == {}
    assert await groups.list("city") == [("a", NOW, {"kind": "meter"})]

    at = keys.enrolment_group("city", "of-before")
    record = b'{"key":"%s","created_at":1.0}' % key.encode()
    await store.commit(Txn(then=[Put(at, record)]))
    await groups.start()
    older = hmac_token(group="of-before", key=key, tenant="city", client_id="m")
    assert groups.proves(older, "city", "m")
    assert groups.gives(older, "city") == {}


async def test_a_tenant_has_so_many_groups_and_no_more(store):
    groups = EnrolmentGroups(
        store, NoWrapping(), random=os.urandom, wall=lambda: NOW, most=MOST_GROUPS
    )
    for number in range(MOST_GROUPS):
        await groups.add("city", f"g{number}")
    with pytest.raises(Exhausted, match=f"has {MOST_GROUPS} groups"):
        await groups.add("city", "one-more")
    await groups.add("bank", "one-more")


async def test_with_a_wrapping_key_the_store_has_no_key_of_a_group(store):
    wrapping = KeyWrapping(os.urandom(32), random=os.urandom)
    key = await groups_on(store, wrapping).add("city", "line-3")
    stored = await store.get(keys.enrolment_group("city", "line-3"))
    assert key.encode() not in stored.value
    groups = groups_on(store, wrapping)
    await groups.start()
    made = hmac_token(group="line-3", key=key, tenant="city", client_id="m")
    assert groups.proves(made, "city", "m")


@given(st.text(max_size=200))
def test_no_text_is_more_than_no_token(text):
    groups = EnrolmentGroups(None, NoWrapping(), random=os.urandom, wall=lambda: NOW)  # type: ignore[arg-type]
    assert not groups.proves(text, "city", "meter-1")
    assert not groups.proves("hmac." + text, "city", "meter-1")
