"""Proofs: codes, how often they are tried and sent, and what a proof does to a claim."""

import asyncio
import random

import pytest

from control_plane import keys
from control_plane.errors import (
    Exhausted,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    StoreUnavailable,
    Unavailable,
)
from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_any
from control_plane.store.port import Delete, Put, Txn
from provisioner.directory.claim_rules import DAY_MS, ClaimNotAllowed
from provisioner.directory.claims import MOST_HOLDERS, MOST_IDENTIFIERS, decode_claim
from provisioner.directory.proofs import CODES_A_DAY, CODES_TO_ONE, TRIES, WrongCode
from tests.support.directory_servers import (
    TENANT,
    Clock,
    DirectoryServer,
    home,
    homes,
    request,
    ring,
)
from tests.support.fakes.faulty_store import FaultyStore
from tests.support.fakes.network_store import NetworkStore

DAY_S = DAY_MS / 1_000


def named(text: str) -> Identifier:
    found = read_any(text)
    assert isinstance(found, Identifier), found
    return found


MAIL, PHONE = named("anna@mail.example"), named("+442079460018")


@pytest.fixture
async def server():
    store = NetworkStore()
    await homes(store, "anna", "ben", "mallory")
    return DirectoryServer(store)


async def begin(server, account, identifier=PHONE, **more):
    return await server.proofs.begin(
        TENANT, account, identifier, None, request=more.pop("id", request())
    )


async def finish(server, account, code, identifier=PHONE, **more):
    return await server.proofs.finish(
        TENANT, account, identifier, code, None, request=more.pop("id", request()),
        findable=more.pop("findable", False),
    )  # fmt: skip


async def prove(server, account, identifier=PHONE):
    await begin(server, account, identifier)
    return await finish(server, account, server.box.last(), identifier)


async def refusal(waited) -> str:
    with pytest.raises((ClaimNotAllowed, Exhausted)) as refused:
        await waited
    return refused.value.reason


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08}"


async def holders(server, identifier=PHONE) -> list[str]:
    digest = server.secrets.digests.digest(TENANT, identifier)
    key = keys.identifier_claim(TENANT, identifier.kind.value, digest)
    claim = decode_claim(await server.registrar.claims.get(key))
    return [] if claim is None else [one.account for one in claim.holders]


async def test_a_code_that_arrives_proves_the_identifier(server):
    begun = await begin(server, "anna")
    assert begun.channel == "text"
    assert begun.tries_left == TRIES
    assert server.box.codes[0][0] == PHONE.normal
    assert len(server.box.last()) == 8
    proved = await finish(server, "anna", server.box.last())
    assert proved.contested_until_ms == 0
    assert await holders(server) == ["anna"]


async def test_a_code_is_read_with_spaces_and_used_once(server):
    await begin(server, "anna")
    code = server.box.last()
    await finish(server, "anna", f" {code[:4]} {code[4:]} ")
    assert await refusal(finish(server, "anna", code)) == "NO_PROOF"


async def test_a_repeated_request_is_answered(server):
    await begin(server, "anna", id="b")
    assert (await begin(server, "anna", id="b")).channel == "text"
    assert len(server.box.codes) == 1
    first = await finish(server, "anna", server.box.last(), id="f")
    assert await finish(server, "anna", server.box.last(), id="f") == first


@pytest.mark.parametrize("code", ["", "1234567", "123456789", "1234567a", "١٢٣٤٥٦٧٨", "1" * 10_000])
async def test_what_is_no_code_costs_no_try(server, code):
    await begin(server, "anna")
    with pytest.raises(InvalidInput):
        await finish(server, "anna", code)
    await finish(server, "anna", server.box.last())


async def test_five_wrong_tries_and_the_right_code_is_worth_nothing(server):
    await begin(server, "anna")
    code = server.box.last()
    left = []
    for _ in range(TRIES):
        with pytest.raises(WrongCode) as refused:
            await finish(server, "anna", wrong(code))
        left.append(refused.value.metadata["tries_left"])
    assert left == ["4", "3", "2", "1", "0"]
    assert await refusal(finish(server, "anna", code)) == "NO_TRIES"
    assert await refusal(begin(server, "anna")) == "EXHAUSTED"  # nor does another code help
    server.clock.now += DAY_S
    await prove(server, "anna")


async def test_guesses_at_once_are_counted_like_others():
    """A hundred guesses under way together, over a slow network: five are answered as wrong."""
    store = NetworkStore(random.Random(3))
    await homes(store, "anna")
    server = DirectoryServer(store)
    await begin(server, "anna")
    code = wrong(server.box.last())
    answers = await asyncio.gather(
        *(finish(server, "anna", code) for _ in range(100)), return_exceptions=True
    )
    told = [one.reason for one in answers]
    assert told.count("WRONG_CODE") == TRIES
    assert set(told) <= {"WRONG_CODE", "NO_TRIES", "CONFLICT"}


async def test_a_try_is_counted_before_it_is_answered():
    """Where the count may be lost, nothing is said of the code."""
    store = NetworkStore()
    await homes(store, "anna")

    def counts(txn):
        return any(isinstance(one, Put) and b'"tries":' in one.value for one in txn.then)

    faulty = FaultyStore(store, counts)
    server = DirectoryServer(faulty)
    await begin(server, "anna")
    code = server.box.last()
    faulty.faults.append("lost after")
    with pytest.raises(OutcomeUnknown):
        await finish(server, "anna", wrong(code))
    with pytest.raises(WrongCode) as refused:
        await finish(server, "anna", wrong(code))
    assert refused.value.metadata["tries_left"] == "3"


async def test_a_code_ends(server):
    await begin(server, "anna")
    server.clock.now += 15 * 60
    assert await refusal(finish(server, "anna", server.box.last())) == "NO_PROOF"


async def test_one_account_sends_few_codes_a_day_and_all_together_not_many():
    store = NetworkStore()
    crowd = [f"crowd{n}" for n in range(10)]
    await homes(store, "anna", *crowd)
    server = DirectoryServer(store)
    for _ in range(CODES_A_DAY):
        await begin(server, "anna")
    assert await refusal(begin(server, "anna")) == "EXHAUSTED"
    await begin(server, "anna", MAIL)  # another identifier
    outcomes = await asyncio.gather(
        *(begin(server, one) for one in crowd for _ in range(4)), return_exceptions=True
    )
    sent = sum(1 for normal, _ in server.box.codes if normal == PHONE.normal)
    assert sent == CODES_TO_ONE
    assert {type(one) for one in outcomes if isinstance(one, Exception)} == {Exhausted}
    server.clock.now += DAY_S
    await begin(server, "anna")


async def test_a_pending_proof_reserves_nothing(server):
    await begin(server, "mallory")
    await prove(server, "anna")
    assert await holders(server) == ["anna"]


async def test_nothing_in_the_store_is_plain_text(server):
    await begin(server, "anna", MAIL)
    code = server.box.last()
    await finish(server, "anna", code, MAIL)
    await begin(server, "anna")
    kept = b"\n".join(
        pair.key + pair.value for pair in server.registrar.claims.model.under(b"/homeport/v1/dir")
    )
    for secret in ("mail.example", "442079460018", code, server.box.last()):
        assert secret.encode() not in kept


async def test_a_held_number_is_contested_and_never_taken_over(server):
    await prove(server, "anna")
    proved = await prove(server, "mallory")
    assert proved.contested_until_ms == server.registrar.now_ms() + 7 * DAY_MS
    assert await holders(server) == ["anna"]
    again = await prove(server, "mallory")  # before the time is over it comes to the same
    assert again.contested_until_ms == proved.contested_until_ms
    assert await holders(server) == ["anna"]


async def test_who_has_it_ends_a_contest_by_proving_it_again(server):
    await prove(server, "anna")
    await prove(server, "mallory")
    await prove(server, "anna")
    server.clock.now += 8 * DAY_S
    assert (await prove(server, "mallory")).contested_until_ms  # a new contest
    assert await holders(server) == ["anna"]


async def test_a_contest_that_nobody_answers_is_won_by_proving_it_once_more(server):
    await prove(server, "anna")
    await prove(server, "ben")
    server.clock.now += 7 * DAY_S
    assert await holders(server) == ["anna"]  # not by time alone
    assert (await prove(server, "ben")).contested_until_ms == 0
    assert await holders(server) == ["ben"]


async def test_a_number_that_was_not_proved_for_half_a_year_is_contested_for_a_day(server):
    await prove(server, "anna")
    server.clock.now += 180 * DAY_S
    proved = await prove(server, "ben")
    assert proved.contested_until_ms == server.registrar.now_ms() + DAY_MS


async def test_an_address_may_be_of_several_accounts():
    store = NetworkStore()
    accounts = [f"a{n}" for n in range(MOST_HOLDERS + 2)]
    await homes(store, *accounts)
    server = DirectoryServer(store, clock=Clock())
    for account in accounts[:MOST_HOLDERS]:
        await prove(server, account, MAIL)
        server.clock.now += DAY_S  # a mailbox is sent few codes a day
    assert await holders(server, MAIL) == accounts[:MOST_HOLDERS]
    await begin(server, accounts[-1], MAIL)
    told = await refusal(finish(server, accounts[-1], server.box.last(), MAIL))
    assert told == "TOO_MANY_ACCOUNTS"
    gone = keys.assignment(TENANT, "a3")
    await store.commit(Txn(then=[Delete(gone)]))
    await finish(server, accounts[-1], server.box.last(), MAIL)
    assert "a3" not in await holders(server, MAIL)


@pytest.mark.parametrize("text", ["@anna", "mail.example"])
async def test_what_is_never_proved_is_not_released_in_silence(server, text):
    """Who has a handle is not told that they do not have it."""
    await server.handles.claim(TENANT, "anna", "anna", None, request=request(), rename=False)
    with pytest.raises(InvalidInput, match="which is not proved"):
        await server.proved.release(TENANT, "anna", named(text), None, request=request())


async def test_what_is_released_is_anybodys_to_prove(server):
    await prove(server, "anna")
    assert await server.proved.release(TENANT, "anna", PHONE, None, request=request())
    assert not await server.proved.release(TENANT, "anna", PHONE, None, request=request())
    assert await holders(server) == []
    assert (await prove(server, "ben")).contested_until_ms == 0


async def test_a_number_of_a_client_that_is_gone_is_not_contested(server):
    await prove(server, "anna")
    await server.registrar.claims.commit(Txn(then=[Delete(keys.assignment(TENANT, "anna"))]))
    assert (await prove(server, "ben")).contested_until_ms == 0
    assert await holders(server) == ["ben"]


async def test_a_later_client_of_the_name_has_nothing(server):
    await prove(server, "anna")
    await server.registrar.claims.commit(home("anna", first_ms=9_000))
    await prove(server, "anna", MAIL)
    assert await holders(server) == []


async def test_an_account_has_so_many_identifiers(server):
    for number in range(MOST_IDENTIFIERS):
        await prove(server, "anna", named(f"anna{number}@mail.example"))
    assert await refusal(begin(server, "anna")) == "TOO_MANY_IDENTIFIERS"


@pytest.mark.parametrize("text", ["@anna", "mail.example"])
async def test_nothing_is_sent_to_what_is_no_address(server, text):
    with pytest.raises(InvalidInput):
        await begin(server, "anna", named(text))


async def test_where_no_channel_leads_it_says_so_and_what_to_do(server):
    assert await refusal(begin(server, "anna", named("xmpp:anna@chat.example"))) == "NO_CHANNEL"
    with pytest.raises(ClaimNotAllowed, match="prove an e-mail address or a telephone number"):
        await begin(server, "anna", named("xmpp:anna@chat.example"))


async def test_a_code_that_could_not_be_sent_is_sent_anew_by_the_same_request(server):
    server.box.fails.append(Unavailable("the relay is away"))
    with pytest.raises(Unavailable):
        await begin(server, "anna", id="b")
    await begin(server, "anna", id="b")
    assert len(server.box.codes) == 1
    await finish(server, "anna", server.box.last())


async def test_a_sender_that_fails_otherwise_is_one_that_could_not_send(server, caplog):
    server.box.fails.append(UnicodeError("a defect of a library"))
    with pytest.raises(Unavailable, match="could not be sent"):
        await begin(server, "anna", id="b")
    assert "a defect of a library" in caplog.text
    server.box.fails.append(ClaimNotAllowed("REFUSED", "the relay refuses it for good"))
    assert await refusal(begin(server, "anna", id="b")) == "REFUSED"
    await begin(server, "anna", id="b")
    assert len(server.box.codes) == 1


async def test_a_code_that_was_sent_is_on_its_way_whatever_becomes_of_the_lease(server):
    proofs = server.proofs
    current, calls = proofs._lease.current, []

    async def lost_after_sending():
        calls.append(len(server.box.codes))
        if server.box.codes:
            raise StoreUnavailable("the store is away")
        return await current()

    proofs._lease.current = lost_after_sending
    await begin(server, "anna")
    assert calls == [0, 1]
    proofs._lease.current = current
    await finish(server, "anna", server.box.last())


async def test_nobody_without_a_home_is_sent_anything(server):
    with pytest.raises(NotFound):
        await begin(server, "nobody")
    assert server.box.codes == []


async def test_after_a_change_of_the_pepper_claims_are_found_and_move_when_proved_again(server):
    await prove(server, "anna")
    await prove(server, "anna", MAIL)
    await prove(server, "ben", MAIL)
    server.secrets = ring(1, 2)
    assert await holders(server) == []  # under the new digest
    assert (await prove(server, "ben")).contested_until_ms  # found under the one before
    assert (await prove(server, "anna")).digest.startswith("2.")
    assert await holders(server) == ["anna"]
    assert (await prove(server, "anna", MAIL)).digest.startswith("1.")  # of two accounts: it stays
    server.clock.now += DAY_S
    await server.proved.release(TENANT, "ben", MAIL, None, request=request())
    assert (await prove(server, "anna", MAIL)).digest.startswith("2.")
    listed = server.registrar.claims.model.under(keys.DIRECTORY_IDENTIFIERS)
    assert sorted(pair.key.rpartition(b"/")[2][:2] for pair in listed) == [b"2.", b"2."]
