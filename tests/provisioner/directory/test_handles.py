"""Handles: who may have which, and what a refusal says."""

import asyncio
import base64

import pytest

from control_plane import keys
from control_plane.errors import InvalidInput, NotFound, OutcomeUnknown
from control_plane.identifiers.skeleton import stored_key
from control_plane.store.port import Delete, Put, Txn
from provisioner.directory.accounts import ActingUnit
from provisioner.directory.claim_rules import QUARANTINE_MS, ClaimNotAllowed, NameRefused
from provisioner.directory.claims import decode_account, decode_claim
from tests.support.directory_servers import (
    TENANT,
    DirectoryServer,
    home,
    homes,
    request,
)
from tests.support.etcd import either_store
from tests.support.fakes.faulty_store import FaultyStore
from tests.support.fakes.network_store import NetworkStore


def claims_something(txn: Txn) -> bool:
    """Whether a transaction writes a claim."""
    return any(isinstance(one, Put) and one.key.startswith(keys.DIRECTORY) for one in txn.then)


@pytest.fixture
async def server():
    store = NetworkStore()
    await homes(store, "anna", "ben", "mallory")
    return DirectoryServer(store)


@pytest.fixture
async def real_store(request, tmp_path):
    async with either_store(request, tmp_path) as opened:
        yield opened


async def take(server, account, handle, **more):
    return await server.handles.claim(
        TENANT, account, handle, more.pop("acting", None), request=more.pop("id", request()), **more
    )


async def refusal(server, account, handle, **more) -> str:
    with pytest.raises((NameRefused, ClaimNotAllowed)) as refused:
        await take(server, account, handle, **more)
    return refused.value.reason


async def test_a_free_handle_is_taken_and_both_records_say_so(server):
    held = await take(server, "anna", "@Anna")
    assert (held.handle, held.account) == ("anna", "anna")
    claims = server.registrar.claims
    claim = decode_claim(await claims.get(keys.handle_claim(TENANT, stored_key("anna"))))
    record = decode_account(await claims.get(keys.directory_account(TENANT, "anna")))
    assert [one.account for one in claim.holders] == ["anna"]
    assert [one.handle for one in record.listed] == ["anna"]


async def test_claiming_what_one_has_answers_the_claim(server):
    first = await take(server, "anna", "anna")
    again = await take(server, "anna", "ANNA")
    assert again == first


@pytest.mark.parametrize(
    ("handle", "reason"),
    [
        pytest.param("anna", "TAKEN", id="the same"),
        pytest.param("ANNA", "TAKEN", id="in capitals"),
        pytest.param("аnnа", None, id="two scripts are no handle at all"),
        pytest.param("раура", "LOOKS_LIKE", id="another script"),
        pytest.param("paypa", "TAKEN", id="the one it looks like"),
        pytest.param("admin", "RESERVED", id="a reserved word"),
        pytest.param("4dm1n", "RESERVED", id="a reserved word in digits"),
        pytest.param("sup-port", "RESERVED", id="a reserved word with a separator"),
        pytest.param("anna.com", "RESERVED", id="the name of a domain"),
        pytest.param("anna.", None, id="a separator at its end"),
    ],
)
async def test_what_is_refused_and_why(server, handle, reason):
    await take(server, "anna", "anna")
    await take(server, "ben", "paypa")
    if reason is None:
        with pytest.raises(InvalidInput):
            await take(server, "mallory", handle)
    else:
        assert await refusal(server, "mallory", handle) == reason


async def test_one_handle_an_account_unless_it_renames(server):
    await take(server, "anna", "anna")
    assert await refusal(server, "anna", "annabel") == "HOLDS_ANOTHER"
    await take(server, "anna", "annabel", rename=True)
    assert await refusal(server, "ben", "anna") == "QUARANTINED"
    with pytest.raises(NotFound):
        await server.handles.holder_of(TENANT, "anna")
    assert (await server.handles.holder_of(TENANT, "annabel")).account == "anna"


async def test_a_freed_handle_is_kept_from_others_for_a_while_and_not_from_who_had_it(server):
    await take(server, "anna", "anna")
    assert await server.handles.release(TENANT, "anna", "anna", None, request=request())
    assert not await server.handles.release(TENANT, "anna", "anna", None, request=request())
    assert await refusal(server, "ben", "anna") == "QUARANTINED"
    assert await refusal(server, "ben", "ann-a".replace("-", "")) == "QUARANTINED"
    await take(server, "anna", "anna")
    await server.handles.release(TENANT, "anna", "anna", None, request=request())
    server.clock.now += QUARANTINE_MS / 1_000
    assert (await take(server, "ben", "anna")).account == "ben"


async def test_a_handle_may_be_spelt_otherwise_by_who_has_it(server):
    await take(server, "anna", "anna-m")
    assert (await take(server, "anna", "anna_m")).handle == "anna_m"
    assert (await server.handles.holder_of(TENANT, "anna_m")).account == "anna"
    with pytest.raises(NotFound):
        await server.handles.holder_of(TENANT, "anna-m")


async def test_nobody_without_a_home_has_anything(server):
    with pytest.raises(NotFound):
        await take(server, "nobody", "nobody-else")


@pytest.mark.parametrize(
    "acting",
    [ActingUnit(unit_id="paris", epoch=1), ActingUnit(unit_id="london", epoch=2)],
    ids=["another unit", "another epoch"],
)
async def test_only_the_home_acts_for_an_account(server, acting):
    assert await refusal(server, "anna", "anna", acting=acting) == "STALE_EPOCH"
    right = ActingUnit(unit_id="london", epoch=1)
    assert (await take(server, "anna", "anna", acting=right)).handle == "anna"


async def test_a_unit_that_was_left_during_the_call_claims_nothing(server):
    """The move lands between reading and writing; the transaction compares the assignment."""
    store = server.registrar.claims
    real = store.commit

    async def moved_before_writing(txn, *, timeout_s=None):
        if claims_something(txn):
            await real(home("anna", unit="paris", epoch=2))
        return await real(txn)

    store.commit = moved_before_writing
    acting = ActingUnit(unit_id="london", epoch=1)
    assert await refusal(server, "anna", "anna", acting=acting) == "STALE_EPOCH"
    store.commit = real
    assert await store.get(keys.handle_claim(TENANT, stored_key("anna"))) is None


async def test_who_comes_under_the_name_of_a_released_client_has_nothing_of_it(server):
    store = server.registrar.claims
    await take(server, "anna", "anna")
    await store.commit(Txn(then=[Delete(keys.assignment(TENANT, "anna"))]))
    with pytest.raises(NotFound):
        await server.handles.holder_of(TENANT, "anna")
    await store.commit(home("anna", first_ms=9_000))
    with pytest.raises(NotFound):
        await server.handles.holder_of(TENANT, "anna")
    assert await refusal(server, "anna", "anna") == "QUARANTINED"
    assert (await take(server, "anna", "annabel")).handle == "annabel"


async def test_a_handle_of_a_client_that_is_gone_comes_free_for_others_after_the_while(server):
    await take(server, "anna", "anna")
    await server.registrar.claims.commit(Txn(then=[Delete(keys.assignment(TENANT, "anna"))]))
    assert await refusal(server, "ben", "anna") == "QUARANTINED"
    server.clock.now += QUARANTINE_MS / 1_000
    assert (await take(server, "ben", "anna")).account == "ben"


async def test_tenants_share_no_handles(server):
    other = "elsewhere"
    value = (await server.registrar.claims.get(keys.assignment(TENANT, "ben"))).value
    await server.registrar.claims.commit(Txn(then=[Put(keys.assignment(other, "ben"), value)]))
    await take(server, "anna", "anna")
    held = await server.handles.claim(other, "ben", "anna", None, request=request())
    assert held.account == "ben"


async def test_an_offer_is_good_once_for_the_account_it_names(server):
    await take(server, "anna", "anna")
    offer, _ = await server.handles.offer(TENANT, "anna", "anna", "ben", None, lasts_s=60)

    async def accept(account, token=offer):
        return await server.handles.accept(TENANT, account, token, None, request=request())

    with pytest.raises(InvalidInput):
        await accept("mallory")
    assert (await accept("ben")).account == "ben"
    assert (await accept("ben")).account == "ben"  # a repeat is answered
    assert (await server.handles.holder_of(TENANT, "anna")).account == "ben"
    back, _ = await server.handles.offer(TENANT, "ben", "anna", "anna", None, lasts_s=60)
    await accept("anna", back)
    with pytest.raises(ClaimNotAllowed) as refused:
        await accept("ben")  # the first offer again
    assert refused.value.reason == "OFFER_VOID"


async def test_an_offer_ends_and_cannot_be_made_of_what_one_has_not(server):
    await take(server, "anna", "anna")
    with pytest.raises(ClaimNotAllowed) as refused:
        await server.handles.offer(TENANT, "ben", "anna", "mallory", None, lasts_s=60)
    assert refused.value.reason == "NOT_HELD"
    offer, _ = await server.handles.offer(TENANT, "anna", "anna", "ben", None, lasts_s=60)
    server.clock.now += 61
    with pytest.raises(ClaimNotAllowed) as refused:
        await server.handles.accept(TENANT, "ben", offer, None, request=request())
    assert refused.value.reason == "OFFER_EXPIRED"


NESTED = base64.urlsafe_b64encode(b'{"x":' + b"[" * 1_100).rstrip(b"=").decode()


@pytest.mark.parametrize("token", ["", "x", "x.y", "é.é", "." * 3000, "e30.e30", f"{NESTED}.AAAA"])
async def test_what_nobody_signed_is_no_offer(server, token):
    with pytest.raises(InvalidInput):
        await server.handles.accept(TENANT, "ben", token, None, request=request())


async def test_no_letter_of_an_offer_can_be_changed(server):
    await take(server, "anna", "anna")
    offer, _ = await server.handles.offer(TENANT, "anna", "anna", "ben", None, lasts_s=60)
    payload, _, signature = offer.partition(".")
    for place in range(0, len(payload), 7):
        changed = payload[:place] + ("A" if payload[place] != "A" else "B") + payload[place + 1 :]
        with pytest.raises(InvalidInput):
            await server.handles.accept(
                TENANT, "ben", f"{changed}.{signature}", None, request=request()
            )


@pytest.mark.parametrize(
    ("fault", "answered"), [("lost before", False), ("lost after", True), ("refused", False)]
)
async def test_an_unknown_outcome_is_looked_up_and_a_repeat_comes_to_the_same(fault, answered):
    store = NetworkStore()
    await homes(store, "anna")
    faulty = FaultyStore(store, claims_something)
    server = DirectoryServer(faulty)
    faulty.faults.append(fault)
    asked = request()
    if answered:
        await take(server, "anna", "anna", id=asked)
    else:
        with pytest.raises(Exception, match=r"try again|away") as raised:
            await take(server, "anna", "anna", id=asked)
        assert isinstance(raised.value, OutcomeUnknown) or fault == "refused"
    assert faulty.commits == 1  # never repeated
    assert (await take(server, "anna", "anna", id=asked)).account == "anna"


LONG = pytest.mark.slow


@pytest.mark.parametrize(
    ("real_store", "rounds"),
    [
        pytest.param("embedded", 40, id="embedded"),
        pytest.param("embedded", 1_000, id="embedded-long", marks=LONG),
        pytest.param("etcd", 200, id="etcd", marks=LONG),
    ],
    indirect=["real_store"],
)
async def test_of_sixteen_racers_one_has_it(real_store, rounds):
    """Over a real store, on four servers; every round another handle."""
    racers = [f"racer{n}" for n in range(16)]
    await homes(real_store, *racers)
    servers = [DirectoryServer(real_store) for _ in range(4)]
    for number in range(rounds):
        handle = "prize" + "".join("abcdefghij"[int(digit)] for digit in f"{number:03}")
        answers = await asyncio.gather(
            *(
                take(servers[place % 4], racer, handle, rename=True)
                for place, racer in enumerate(racers)
            ),
            return_exceptions=True,
        )
        winners = [one.account for one in answers if not isinstance(one, BaseException)]
        assert len(winners) == 1
        assert {one.reason for one in answers if isinstance(one, Exception)} == {"TAKEN"}
        assert (await servers[0].handles.holder_of(TENANT, handle)).account == winners[0]


@pytest.mark.parametrize("comes_back", [False, True])
async def test_a_claim_whose_client_is_gone_with_its_record_is_freed(server, comes_back):
    """A move of shards leaves the records of clients behind that are gone."""
    await take(server, "anna", "anna")
    gone = keys.assignment(TENANT, "anna"), keys.directory_account(TENANT, "anna")
    await server.registrar.claims.commit(Txn(then=[Delete(key) for key in gone]))
    if comes_back:
        await server.registrar.claims.commit(home("anna", first_ms=9_000))
        assert await refusal(server, "anna", "anna") == "QUARANTINED"
    assert await refusal(server, "ben", "anna") == "QUARANTINED"
    server.clock.now += QUARANTINE_MS / 1_000
    assert (await take(server, "ben", "anna")).account == "ben"
