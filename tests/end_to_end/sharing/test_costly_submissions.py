"""Each attack is answered in words, and the server serves on, for others as well."""

from __future__ import annotations

import time

import grpc
import pytest

from tests.support.costly_calls import Noticed, numbers, prepare, probe, send
from tests.support.costly_inputs import ATTACKS, Attack
from tests.support.data_sharing_server import SharingServer

NUMBERS = numbers()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with SharingServer(tmp_path_factory.mktemp("costly")) as one:
        yield one


@pytest.fixture(scope="module")
def prepared():
    return []


@pytest.fixture
async def channel(server, prepared):
    async with grpc.aio.insecure_channel(server.address) as opened:
        if not prepared:
            await prepare(opened)
            prepared.append(True)
        yield opened


@pytest.mark.parametrize("attack", [pytest.param(one, id=one.name) for one in ATTACKS])
async def test_an_attack_is_answered_and_others_are_served(channel, attack: Attack) -> None:
    code, said = await send(channel, attack)
    assert code in attack.answers, said
    assert "Traceback" not in said
    assert "set_int_max" not in said
    noticed = Noticed()
    await probe(channel, noticed, time.monotonic() + 0.05, NUMBERS)
    assert noticed.failed == []
    assert noticed.calls >= 3
