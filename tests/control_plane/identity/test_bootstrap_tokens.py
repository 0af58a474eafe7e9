"""Tokens that each let one client in: their form, their records, their end."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane import keys
from control_plane.errors import InvalidInput
from control_plane.identity.bootstrap_tokens import BootstrapTokens, good_record, record_key
from control_plane.store.embedded.store import EmbeddedStore

NOW = 1_700_000_000.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    yield store
    await store.close()


@pytest.fixture
def tokens(store: EmbeddedStore) -> BootstrapTokens:
    return BootstrapTokens(store, random=os.urandom, wall=lambda: NOW)


async def test_a_token_good_record_by_its_record_until_it_ends(store, tokens):
    first, second = await tokens.issue("city", 2, 60.0)
    found = await store.get(record_key("city", first))
    assert good_record(found.value, first, NOW)
    assert good_record(found.value, first, NOW + 59)
    assert not good_record(found.value, first, NOW + 60)
    assert not good_record(found.value, second, NOW)
    assert not good_record(b"damaged", first, NOW)
    assert await store.get(record_key("bank", first)) is None


async def test_the_store_has_no_token(store, tokens):
    issued = await tokens.issue("city", 250, 60.0)
    assert len(set(issued)) == 250
    page = await store.range(keys.bootstrap_token("city", ""))
    assert len(page.items) == 250
    content = b"".join(pair.key + pair.value for pair in page.items)
    assert not any(one.rpartition(".")[2].encode() in content for one in issued)


async def test_revoking_ends_those_of_the_tenant_alone(store, tokens):
    await tokens.issue("city", 3, 60.0)
    (other,) = await tokens.issue("city-2", 1, 60.0)
    await tokens.revoke("city")
    await tokens.revoke("city")
    assert not (await store.range(keys.bootstrap_token("city", ""))).items
    assert await store.get(record_key("city-2", other)) is not None


@pytest.mark.parametrize(
    ("count", "ttl_s"),
    [(0, 60), (-1, 60), (1_001, 60), (1, 59), (1, 90 * 86_400 + 1), (1, float("nan")), (1, -1)],
)
async def test_counts_and_times_have_bounds(tokens, count, ttl_s):
    with pytest.raises(InvalidInput):
        await tokens.issue("city", count, ttl_s)


@pytest.mark.parametrize(
    "text",
    ["", "boot.", "boot.x.y", "boot." + "0" * 20 + "." + "A" * 42, "boot.../../x." + "A" * 43],
)
def test_what_is_no_token_has_no_record(text):
    assert record_key("city", text) is None


async def test_a_record_says_with_what_its_client_is_made_and_older_ones_nothing(store, tokens):
    (made,) = await tokens.issue("city", 1, 60.0, {"kind": "meter"})
    (plain,) = await tokens.issue("city", 1, 60.0)
    for token, expected in ((made, {"kind": "meter"}), (plain, {})):
        kept = await store.get(record_key("city", token))
        assert good_record(kept.value, token, NOW).attributes == expected
    older = {key: value for key, value in json.loads(kept.value).items() if key != "attributes"}
    assert good_record(json.dumps(older).encode(), plain, NOW).attributes == {}
