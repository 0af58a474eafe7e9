"""The directory's peppers: one ring for all servers, from the store or from a file."""

import base64
import json
import random

import pytest

from control_plane import keys
from control_plane.errors import InvalidInput, StoreUnavailable, Unavailable
from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_any
from control_plane.identity.key_wrapping import KeyWrapping, NoWrapping
from control_plane.identity.pepper_ring import (
    DirectorySecrets,
    PepperRing,
    PepperSource,
    StoredPepper,
    read_ring,
)
from tests.support.fakes.network_store import NetworkStore


def ring(*epochs: int) -> PepperRing:
    return PepperRing(
        peppers=tuple(
            StoredPepper(epoch=one, secret=base64.b64encode(bytes([one]) * 32).decode())
            for one in epochs
        )
    )


def named(text: str) -> Identifier:
    found = read_any(text)
    assert isinstance(found, Identifier)
    return found


def source(store, path=None, *, seed=1, wrapping=None) -> PepperSource:
    return PepperSource(
        store, path, wrapping=wrapping or NoWrapping(), random=random.Random(seed).randbytes
    )


async def test_the_first_server_makes_it_and_all_have_the_same():
    store = NetworkStore()
    servers = [source(store, seed=seed) for seed in range(3)]
    for server in servers:
        await server.start()
    found = {server.secrets.digests.digest("t", named("a@b.example")) for server in servers}
    assert len(found) == 1


async def test_it_is_wrapped_where_there_is_a_wrapping_key():
    store, rng = NetworkStore(), random.Random(5)
    wrapping = KeyWrapping(b"k" * 32, random=rng.randbytes)
    await source(store, wrapping=wrapping).start()
    pair = await store.get(keys.PEPPER_RING)
    assert b"secret" not in pair.value
    with pytest.raises(InvalidInput, match="wrapped"):
        await source(store).start()


async def test_while_the_store_is_away_there_are_no_secrets_and_then_there_are():
    store = NetworkStore()
    store.away = True
    one = source(store)
    with pytest.raises(StoreUnavailable):
        await one.start()
    with pytest.raises(Unavailable):
        _ = one.secrets
    store.away = False
    await one.run()
    assert one.secrets.epoch == 1


def test_the_last_two_count():
    identifier = named("a@b.example")
    secrets = DirectorySecrets(ring(1, 2, 3))
    assert [one[:2] for one in secrets.digests.digests("t", identifier)] == ["3.", "2."]
    assert secrets.mac("p", b"m", epoch=2) == DirectorySecrets(ring(1, 2)).mac("p", b"m")
    assert secrets.mac("p", b"m", epoch=1) is None
    assert secrets.mac("p", b"m") != secrets.mac("q", b"m")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="nothing"),
        pytest.param("{}", id="no peppers"),
        pytest.param('{"peppers":[]}', id="an empty list"),
        pytest.param('{"peppers":[{"epoch":1,"secret":"AAAA"}]}', id="a short secret"),
        pytest.param('{"peppers":[{"epoch":1,"secret":"no base64!"}]}', id="no base64"),
        pytest.param('{"peppers":[{"epoch":0,"secret":"%s"}]}', id="no epoch"),
        pytest.param(
            '{"peppers":[{"epoch":2,"secret":"%s"},{"epoch":2,"secret":"%s"}]}',
            id="epochs that stand",
        ),
        pytest.param("x" * 70_000, id="too much"),
    ],
)
async def test_a_file_that_is_no_ring_is_refused_by_its_name(tmp_path, content):
    secret = base64.b64encode(bytes(32)).decode()
    path = tmp_path / "peppers.json"
    path.write_text(content.replace("%s", secret))
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match=r"peppers\.json"):
        read_ring(path, NoWrapping())


async def test_a_file_is_read_where_there_is_one_and_closed_to_others(tmp_path):
    path = tmp_path / "peppers.json"
    secret = base64.b64encode(bytes(32)).decode()
    path.write_text(json.dumps({"peppers": [{"epoch": 4, "secret": secret}]}))
    path.chmod(0o644)
    store = NetworkStore()
    with pytest.raises(InvalidInput, match="chmod 600"):
        await source(store, path).start()
    path.chmod(0o600)
    one = source(store, path)
    await one.start()
    assert one.secrets.epoch == 4
    assert await store.get(keys.PEPPER_RING) is None
    with pytest.raises(InvalidInput, match="cannot be read"):
        await source(store, tmp_path / "none").start()
