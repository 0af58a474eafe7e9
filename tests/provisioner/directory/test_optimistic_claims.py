"""A first handle that is claimed without reading: it is had as any other, and whatever was supposed
wrongly comes to what `Handles.claim` says."""

from __future__ import annotations

import asyncio

import pytest

from control_plane import keys
from control_plane.errors import InvalidInput, OutcomeUnknown, ServiceError, StoreUnavailable
from control_plane.identifiers.skeleton import stored_key
from control_plane.store.port import Get, KeyValue, Put
from provisioner.directory import protocol
from provisioner.directory.accounts import ActingUnit
from provisioner.directory.claim_budgets import CLAIMS_A_DAY
from provisioner.directory.claim_rules import ClaimNotAllowed, NameRefused
from provisioner.directory.claims import DirectoryAccount, DirectoryClaim, Holder, Listed
from provisioner.directory.handles import HeldHandle
from provisioner.directory.protocol import AccountChange, ClaimChange, Guards
from tests.support.directory_servers import TENANT, DirectoryServer, home, homes, request
from tests.support.fakes.faulty_store import FaultyStore
from tests.support.fakes.network_store import NetworkStore
from tests.support.grouped_stores import running_groups

LONDON = ActingUnit(unit_id="london", epoch=1)


class Claims:
    """A server that has just given every account of a store its home."""

    def __init__(self, inner, grouped) -> None:
        self.inner = inner
        self.server = DirectoryServer(grouped)
        self.remembered: dict[bytes, KeyValue] = {}
        self.claims = self.server.optimistic(lambda key: self.remembered.pop(key, None))

    async def remember(self, account: str) -> None:
        key = keys.assignment(TENANT, account)
        self.remembered[key] = await self.inner.get(key)

    def begin(self, account: str, text: str, told, *, acting=LONDON, id="", rename=False) -> bool:
        return self.claims.begin(
            TENANT, account, text, acting, request=id or request(), rename=rename, within_s=5.0,
            told=told,
        )  # fmt: skip

    async def claim(self, account: str, text: str, **more) -> HeldHandle:
        """Begins a claim, and does what is left of it."""
        told: asyncio.Future = asyncio.get_running_loop().create_future()
        assert self.begin(account, text, told.set_result, **more)
        said = await told
        if isinstance(said, ServiceError):
            raise said
        return said if isinstance(said, HeldHandle) else await said()


def writes_a_claim(txn) -> bool:
    return any(isinstance(o, Put) and keys.DIRECTORY in o.key for o in txn.expanded().then)


@pytest.fixture
async def made():
    inner = FaultyStore(NetworkStore(), writes_a_claim)
    await homes(inner, "anna", "ben")
    async with running_groups(inner) as grouped:
        claims = Claims(inner, grouped)
        for account in ("anna", "ben"):
            await claims.remember(account)
        yield claims


async def stored(made, account: str, handle: str):
    at = [keys.handle_claim(TENANT, stored_key(handle)), keys.directory_account(TENANT, account)]
    return [pair.value if (pair := await made.inner.get(key)) else None for key in at]


async def test_it_writes_in_one_transaction_what_a_claim_that_reads_writes(made):
    held = await made.claim("anna", "@Anna", id="r")
    assert made.inner.commits == 1
    assert (await made.server.handles.holder_of(TENANT, "anna")) == held
    other = NetworkStore()
    await homes(other, "anna")
    await DirectoryServer(other).handles.claim(TENANT, "anna", "anna", LONDON, request="r")
    made.inner, before = other, await stored(made, "anna", "anna")
    made.inner = other
    assert before == await stored(made, "anna", "anna")
    assert None not in before


async def test_nothing_is_supposed_of_an_account_that_is_not_remembered_or_was_before(made):
    assert not made.begin("carla", "carla", pytest.fail)
    await made.claim("anna", "anna")
    assert not made.begin("anna", "anna-m", pytest.fail)


@pytest.mark.parametrize(
    ("handle", "acting"),
    [
        pytest.param("anna", ActingUnit(unit_id="paris", epoch=1), id="who acts is not its home"),
        pytest.param("anna", ActingUnit(unit_id="london", epoch=2), id="by another epoch"),
        pytest.param("admin", LONDON, id="a reserved word"),
    ],
)
async def test_what_is_to_be_refused_is_left_to_what_reads(made, handle, acting):
    assert not made.begin("anna", handle, pytest.fail, acting=acting)


async def test_what_is_no_handle_is_told_at_once(made):
    with pytest.raises(InvalidInput):
        made.begin("anna", "anna.", pytest.fail)


async def test_a_handle_that_somebody_has_is_refused(made):
    await made.claim("anna", "anna")
    with pytest.raises(NameRefused) as refused:
        await made.claim("ben", "anna")
    assert refused.value.reason == "TAKEN"
    assert made.claims.refused == 1


async def test_an_account_that_has_moved_is_no_longer_at_home_with_who_acts(made):
    await made.inner.commit(home("anna", unit="paris", epoch=2))
    with pytest.raises(ClaimNotAllowed) as refused:
        await made.claim("anna", "anna")
    assert refused.value.reason == "STALE_EPOCH"


async def test_an_account_that_has_another_handle_is_no_new_one(made):
    await made.server.handles.claim(TENANT, "anna", "anna", None, request=request())
    with pytest.raises(ClaimNotAllowed) as refused:
        await made.claim("anna", "annabel")
    assert refused.value.reason == "HOLDS_ANOTHER"
    await made.remember("anna")
    assert (await made.claim("anna", "annabel", rename=True)).handle == "annabel"


@pytest.mark.parametrize(
    ("fault", "error"),
    [("lost before", OutcomeUnknown), ("lost after", None), ("refused", StoreUnavailable)],
)
async def test_an_unknown_outcome_is_looked_up_and_never_made_again(made, fault, error):
    made.inner.faults.append(fault)
    if error is None:
        held = await made.claim("anna", "anna", id="r")
        assert held.revision == (await made.server.handles.holder_of(TENANT, "anna")).revision
    else:
        with pytest.raises(error):
            await made.claim("anna", "anna", id="r")
    assert made.inner.commits == 1


async def test_a_claim_counts_once_and_what_one_has_does_not(made):
    await made.claim("anna", "anna")
    for _ in range(3):
        await made.remember("anna")
        await made.claim("anna", "anna")
    await made.remember("anna")
    for _ in range(int(CLAIMS_A_DAY) - 1):
        made.server.budgets.take(TENANT, "anna")
    assert not made.begin("anna", "anna", pytest.fail)


def test_the_transaction_is_the_one_of_every_claim():
    holder = Holder(account="anna", life_ms=1, proved_ms=2, findable=True)
    claim = DirectoryClaim(holders=(holder,), handle="anna", request="r")
    record = DirectoryAccount(listed=(Listed(key="k", request="r", handle="anna"),), epoch=1)
    at = KeyValue(keys.assignment(TENANT, "anna"), b"{}", 4, 7, 2)
    key, account_key = keys.handle_claim(TENANT, "k"), keys.directory_account(TENANT, "anna")
    first = protocol.first_claim(key, claim, account_key, record, at).expanded()
    usual = protocol.together(
        [ClaimChange(key=key, before=None, after=claim)],
        [AccountChange(key=account_key, before=None, after=record, home=at)],
        Guards(),
    )
    assert set(first.compares) == set(usual.compares)
    assert first.then == usual.then
    assert all(isinstance(one, Get) for one in first.otherwise)
