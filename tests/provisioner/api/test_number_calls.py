"""NumberService over a store: what operators and units are told, and within which bounds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from control_plane.errors import Exhausted, InvalidInput, NotFound
from homeport.api.directory.v1 import directory_pb2
from homeport.api.directory.v1 import number_pb2 as pb
from provisioner.api.number_service import NumberService
from provisioner.api.organisation_callers import OrganisationCallers
from tests.support.directory_servers import TENANT, homes
from tests.support.fakes.network_store import NetworkStore
from tests.support.number_servers import POOL, NumberServer, number

LONDON = directory_pb2.ActingHome(unit_id="london", epoch=1)
STOCKHOLM = directory_pb2.ActingHome(unit_id="stockholm")
NOBODY: Any = None  # a context, of which nothing is read where a home is named


class Served:
    """The service, with numbers and Anna."""

    def __init__(self) -> None:
        self.server = NumberServer(NetworkStore())
        view: Any = SimpleNamespace(
            tenant_or_raise=lambda name: SimpleNamespace(id=name or "default")
        )
        callers: Any = SimpleNamespace()
        self.service = NumberService(
            self.server.pools,
            self.server.homes,
            OrganisationCallers(view, callers),
            clock=self.server.clock,
        )

    async def find(self, caller: str, dialled: str, tenant: str = "") -> pb.CallHome:
        request = pb.FindCallHomeRequest(
            tenant=tenant, caller=caller, dialled=dialled, home=STOCKHOLM
        )
        return await self.service.FindCallHome(request, NOBODY)


@pytest.fixture
async def served() -> Served:
    made = Served()
    await homes(made.server.store, "anna")
    await made.server.virtual(1, 2)
    await made.server.technical(101)
    return made


async def test_numbers_are_shown_as_they_stand(served: Served) -> None:
    assign = pb.AssignNumberRequest(tenant=TENANT, account="anna", pool=POOL, number=number(1))
    made = await served.service.AssignNumber(assign, NOBODY)
    assert (made.account, made.state) == ("anna", pb.NUMBER_STATE_ASSIGNED)
    release = pb.ReleaseNumberRequest(tenant=TENANT, number=number(1))
    assert (await served.service.ReleaseNumber(release, NOBODY)).released
    first = await served.service.ListNumbers(
        pb.ListNumbersRequest(tenant=TENANT, page_size=2), NOBODY
    )
    rest = await served.service.ListNumbers(
        pb.ListNumbersRequest(tenant=TENANT, page_size=2, page_token=first.next_page_token), NOBODY
    )
    assert [(one.number, one.state) for one in (*first.numbers, *rest.numbers)] == [
        (number(1), pb.NUMBER_STATE_RESTING),
        (number(2), pb.NUMBER_STATE_FREE),
        (number(101), pb.NUMBER_STATE_TECHNICAL),
    ]
    assert first.numbers[0].HasField("free_time")
    assert not rest.next_page_token


@pytest.mark.parametrize(
    ("request_of", "field"),
    [
        (pb.AddNumbersRequest(pool=POOL, kind=pb.NUMBER_KIND_VIRTUAL), "numbers"),
        (pb.AddNumbersRequest(pool=POOL, numbers=[number(5)]), "kind"),
        (
            pb.AddNumbersRequest(
                pool=POOL,
                kind=pb.NUMBER_KIND_VIRTUAL,
                numbers=[number(n) for n in range(41)],
            ),
            "numbers",
        ),
        (
            pb.AddNumbersRequest(
                pool=POOL, kind=pb.NUMBER_KIND_VIRTUAL, numbers=["+44 20 7946 0005"]
            ),
            "numbers",
        ),
        (
            pb.AddNumbersRequest(pool="a/b", kind=pb.NUMBER_KIND_VIRTUAL, numbers=[number(5)]),
            "pool",
        ),
    ],
    ids=["none", "no-kind", "too-many", "not-e164", "no-slug"],
)
async def test_what_is_wrong_is_named(
    served: Served, request_of: pb.AddNumbersRequest, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await served.service.AddNumbers(request_of, NOBODY)
    assert refused.value.field == field


async def test_a_unit_asks_whose_a_call_is(served: Served) -> None:
    await served.server.pools.assign(TENANT, "anna", POOL, number(1))
    found = await served.find("", number(1))
    assert (found.tenant, found.residence.account) == (TENANT, "anna")
    with pytest.raises(NotFound):
        await served.find("", number(1), tenant="other")
    with pytest.raises(InvalidInput):
        await served.find("020 7946 0301", number(1))
    asked = pb.GetAccountNumbersRequest(
        tenant=TENANT, account="anna", home=LONDON, asked=[number(2), number(500)]
    )
    numbers = await served.service.GetAccountNumbers(asked, NOBODY)
    assert (list(numbers.virtual), list(numbers.ours)) == ([number(1)], [number(2)])
    asked.asked.extend(number(600 + n) for n in range(16))
    with pytest.raises(InvalidInput):
        await served.service.GetAccountNumbers(asked, NOBODY)


async def test_a_unit_that_guesses_finds_little(served: Served) -> None:
    for tried in range(200):
        with pytest.raises(NotFound):
            await served.find(f"+442079{tried:06}", number(101))
    with pytest.raises(Exhausted):
        await served.find("+442079999999", number(101))
    served.server.clock.now += 1
    for tried in range(10):
        with pytest.raises(NotFound):
            await served.find(f"+442078{tried:06}", number(101))
    with pytest.raises(Exhausted):
        await served.find("+442079999999", number(101))


async def test_calls_that_find_somebody_cost_little(served: Served) -> None:
    await served.server.pools.assign(TENANT, "anna", POOL, number(1))
    for _ in range(250):
        await served.find("", number(1))
