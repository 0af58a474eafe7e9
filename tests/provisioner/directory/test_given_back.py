"""Handles that one account gave back and that are kept from others: so many, and no more."""

from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane import keys
from provisioner.directory.accounts import ActingUnit
from provisioner.directory.claim_budgets import CLAIMS_A_DAY, TooManyClaims
from provisioner.directory.claim_rules import (
    QUARANTINE_MS,
    ClaimNotAllowed,
    NameRefused,
    TooManyGivenBack,
)
from provisioner.directory.claims import (
    MOST_GIVEN_BACK,
    ClaimState,
    decode_account,
    decode_claim,
)
from tests.support.directory_servers import TENANT, DirectoryServer, home, homes, request
from tests.support.fakes.network_store import NetworkStore

UNIT = ActingUnit(unit_id="london", epoch=1)
HANDLES = [f"name{letter * 3}" for letter in "abcdefghkmoprstuvwxyz"]


async def started() -> DirectoryServer:
    store = NetworkStore()
    await homes(store, "anna", "ben")
    return DirectoryServer(store)


@pytest.fixture
async def server() -> DirectoryServer:
    return await started()


async def take(
    server: DirectoryServer,
    handle: str,
    account: str = "anna",
    acting: ActingUnit | None = UNIT,
) -> None:
    await server.handles.claim(TENANT, account, handle, acting, request=request(), rename=True)


async def give_back(server: DirectoryServer, handle: str, account: str = "anna") -> None:
    await server.handles.release(TENANT, account, handle, UNIT, request=request())


def kept_from_others(server: DirectoryServer, account: str = "anna") -> int:
    """By the claims themselves."""
    claims = map(decode_claim, server.registrar.claims.model.under(keys.DIRECTORY_HANDLES))
    return sum(
        one is not None
        and one.state is ClaimState.QUARANTINED
        and one.freed_by == account
        and one.until_ms > server.registrar.now_ms()
        for one in claims
    )


async def take_all(server: DirectoryServer, *, apart_s: float = 0.0) -> None:
    for handle in HANDLES:
        await take(server, handle)
        server.clock.now += apart_s


async def give_back_all(server: DirectoryServer) -> None:
    for handle in HANDLES:
        await take(server, handle)
        await give_back(server, handle)


@pytest.mark.parametrize(
    ("act", "kept"),
    [
        pytest.param(take_all, MOST_GIVEN_BACK - 1, id="renames, and has the last one"),
        pytest.param(give_back_all, MOST_GIVEN_BACK, id="gives back"),
    ],
)
async def test_an_account_keeps_eight_from_others_and_no_more(
    server: DirectoryServer, act: Callable[[DirectoryServer], Awaitable[None]], kept: int
) -> None:
    with pytest.raises(TooManyGivenBack):
        await act(server)
    assert kept_from_others(server) == kept
    await take(server, "benjamin", "ben")  # of another account it is no limit


async def test_who_waits_as_long_as_it_was_told_may_take_another(server: DirectoryServer) -> None:
    with pytest.raises(TooManyGivenBack) as refused:
        await take_all(server, apart_s=3_600)
    assert 80 * 86_400 < refused.value.retry_after_s < QUARANTINE_MS / 1_000
    server.clock.now += refused.value.retry_after_s
    await take(server, HANDLES[-1])


async def test_what_it_gave_back_it_may_take_again(server: DirectoryServer) -> None:
    with pytest.raises(TooManyGivenBack):
        await take_all(server)
    for _ in range(3):
        for handle in HANDLES[:2]:
            await take(server, handle)
    assert kept_from_others(server) < MOST_GIVEN_BACK


async def test_an_operator_is_not_limited_and_what_it_does_counts(server: DirectoryServer) -> None:
    for handle in HANDLES[:-1]:
        await take(server, handle, acting=None)
    with pytest.raises(TooManyGivenBack):
        await take(server, HANDLES[-1])


async def test_a_client_of_its_name_that_comes_later_has_given_nothing_back(
    server: DirectoryServer,
) -> None:
    for handle in HANDLES[:MOST_GIVEN_BACK]:
        await take(server, handle)
    await server.registrar.claims.commit(home("anna", first_ms=9_000))
    await take(server, HANDLES[-1])


async def test_what_says_so_goes_with_what_it_says(server: DirectoryServer) -> None:
    """The record of an account that has nothing hangs on the lease of what it gave back."""
    await take(server, HANDLES[0])
    await give_back(server, HANDLES[0])
    claims = server.registrar.claims
    pair = await claims.get(keys.directory_account(TENANT, "anna"))
    (claim,) = claims.model.under(keys.DIRECTORY_HANDLES)
    assert decode_account(pair).given_back
    assert pair.lease == claim.lease > 0
    await take(server, HANDLES[0])
    pair = await claims.get(keys.directory_account(TENANT, "anna"))
    assert (pair.lease, decode_account(pair).given_back) == (0, ())


async def test_refused_claims_count_and_repeated_ones_do_not(server: DirectoryServer) -> None:
    await take(server, "anna", "ben")
    for _ in range(int(CLAIMS_A_DAY)):
        with pytest.raises(NameRefused):
            await take(server, "anna")
    with pytest.raises(TooManyClaims):
        await take(server, "anna")
    for _ in range(3):
        await take(server, "anna", "ben")  # has it already


Step = st.tuples(st.sampled_from(["take", "give back", "wait"]), st.sampled_from(HANDLES[:14]))


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(Step, min_size=25, max_size=60))
async def test_whatever_it_does_it_keeps_no_more_from_others(steps: list[tuple[str, str]]) -> None:
    server = await started()
    for act, handle in steps:
        try:
            if act == "take":
                await take(server, handle)
            elif act == "give back":
                await give_back(server, handle)
            else:
                server.clock.now += 20 * 86_400
        except (TooManyGivenBack, ClaimNotAllowed, NameRefused):
            pass
        assert kept_from_others(server) <= MOST_GIVEN_BACK
