"""Every method of every service of the contract, called with made-up messages: whatever comes, the
answer is a status for the caller, never INTERNAL or UNKNOWN, and the server goes on.

`make fuzz` makes 20,000 calls of each; a seed of its own is HOMEPORT_FUZZ_SEED.
"""

from __future__ import annotations

import grpc
import pytest

from tests.support.fuzz.calls import Method, call_often, methods
from tests.support.fuzz.http import event_request, request_often
from tests.support.fuzz.http_clients import client_request
from tests.support.fuzz.services import Services

METHODS = methods()
LONG_S = 3_600
DEFECTS = (499, 500, 501, 502, 504)  # a server may be full or busy: 429, 503


def test_every_service_of_the_contract_is_served(services: Services):
    assert {method.service for method in METHODS} == set(services.addresses)


@pytest.mark.timeout(LONG_S)
@pytest.mark.parametrize("method", METHODS, ids=str)
async def test_no_call_ends_in_a_defect(services: Services, method: Method, calls: int, seed: int):
    async with grpc.aio.insecure_channel(services.addresses[method.service]) as channel:
        shown = services.shown(method.service)
        answers = await call_often(channel, method, calls=calls, seed=seed, shown=shown)
    assert answers.defects[:3] == [], answers.codes
    assert answers.codes.total() == calls


@pytest.mark.timeout(LONG_S)
async def test_no_http_request_ends_in_a_defect(services: Services, calls: int, seed: int):
    answers = await request_often(
        services.http, calls=calls, seed=seed, make=event_request, defects=range(500, 600)
    )
    assert answers.defects[:3] == [], answers.statuses
    assert answers.statuses.total() == calls
    assert {200, 400} <= set(answers.statuses)


@pytest.mark.timeout(LONG_S)
async def test_no_http_request_of_clients_ends_in_a_defect(
    services: Services, calls: int, seed: int
):
    answers = await request_often(
        services.http_clients, calls=calls, seed=seed, make=client_request, defects=DEFECTS
    )
    assert answers.defects[:3] == [], answers.statuses
    assert answers.statuses.total() == calls
    assert {200, 400} <= set(answers.statuses)
