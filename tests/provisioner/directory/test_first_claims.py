"""A first handle that is claimed without a task: it is had as any other, and whatever was supposed
wrongly, or found, comes to what `Handles.claim` says."""

from __future__ import annotations

import asyncio

import pytest

from control_plane import keys
from control_plane.errors import (
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    ServiceError,
    StoreUnavailable,
)
from control_plane.identifiers.skeleton import stored_key
from control_plane.store.port import Get, KeyValue, Put
from provisioner.directory import protocol
from provisioner.directory.accounts import ActingUnit
from provisioner.directory.claim_budgets import CLAIMS_A_DAY, TooManyClaims
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

    def __init__(self, network, inner, grouped) -> None:
        self.network = network
        self.inner = inner
        self.grouped = grouped
        self.at_once = False
        self.server = DirectoryServer(grouped)
        self.remembered: dict[bytes, KeyValue] = {}
        self.claims = self.server.first_claims(lambda key: self.remembered.pop(key, None))

    async def remember(self, account: str) -> None:
        key = keys.assignment(TENANT, account)
        self.remembered[key] = await self.inner.get(key)

    async def claim(
        self, account: str, text: str, *, acting=LONDON, id="", rename=False
    ) -> HeldHandle:
        """Begins a claim, and does what is left of it. at_once: whether nothing was."""
        told: asyncio.Future = asyncio.get_running_loop().create_future()
        self.claims.begin(
            TENANT, account, text, acting, request=id or request(), rename=rename, within_s=5.0,
            told=told.set_result,
        )  # fmt: skip
        said = await told
        if isinstance(said, ServiceError):
            raise said
        self.at_once = isinstance(said, HeldHandle)
        return said if self.at_once else await said()


def writes_a_claim(txn) -> bool:
    return any(isinstance(o, Put) and keys.DIRECTORY in o.key for o in txn.expanded().then)


@pytest.fixture
async def made():
    network = NetworkStore()
    inner = FaultyStore(network, writes_a_claim)
    await homes(inner, "anna", "ben")
    async with running_groups(inner) as grouped:
        claims = Claims(network, inner, grouped)
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


async def test_of_an_account_that_is_not_remembered_it_reads_first(made):
    for account, transactions in (("anna", 1), ("ben", 2)):
        before = made.network.commits
        assert (await made.claim(account, account)).account == account
        assert made.at_once
        assert made.network.commits - before == transactions
        made.remembered.clear()


async def test_an_account_is_supposed_new_once(made):
    first = await made.claim("anna", "anna")
    assert await made.claim("anna", "anna") == first
    assert not made.at_once
    assert made.inner.commits == 1


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize(
    ("handle", "acting", "reason"),
    [
        pytest.param("anna", ActingUnit(unit_id="paris", epoch=1), "STALE_EPOCH", id="no home"),
        pytest.param("anna", ActingUnit(unit_id="london", epoch=2), "STALE_EPOCH", id="no epoch"),
        pytest.param("admin", LONDON, "RESERVED", id="a reserved word"),
    ],
)
async def test_what_is_to_be_refused_is_left_to_what_says_why(
    made, remembered, handle, acting, reason
):
    if not remembered:
        made.remembered.clear()
    with pytest.raises((NameRefused, ClaimNotAllowed)) as refused:
        await made.claim("anna", handle, acting=acting)
    assert refused.value.reason == reason
    assert made.inner.commits == 0


async def test_who_is_no_account_has_nothing(made):
    with pytest.raises(NotFound):
        await made.claim("carla", "carla")


async def test_what_is_no_handle_is_told_at_once(made):
    with pytest.raises(InvalidInput):
        await made.claim("anna", "anna.")


async def test_a_handle_that_somebody_has_is_refused(made):
    await made.claim("anna", "anna")
    with pytest.raises(NameRefused) as refused:
        await made.claim("ben", "anna")
    assert refused.value.reason == "TAKEN"
    assert made.grouped.refused == 1


async def test_what_reads_finds_a_handle_that_somebody_has_and_disturbs_nobody(made):
    await made.claim("anna", "anna")
    made.remembered.clear()
    with pytest.raises(NameRefused):
        await made.claim("ben", "anna")
    assert made.grouped.refused == 0


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
    for _ in range(int(CLAIMS_A_DAY) - 1):
        made.server.budgets.take(TENANT, "anna")
    with pytest.raises(TooManyClaims):
        await made.claim("anna", "annabel", rename=True)
    await made.remember("anna")
    assert (await made.claim("anna", "anna")).handle == "anna"


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
