"""Resolving: from a name to its home, and what a stranger learns who tries."""

import asyncio
import random

import pytest

from control_plane import keys
from control_plane.errors import Exhausted, NotFound
from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_any
from control_plane.identity.admission import TicketVerifier
from control_plane.identity.introductions import (
    Introduction,
    IntroductionIssuer,
    check_introduction,
)
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Delete, Put, Txn
from provisioner.directory.accounts import ActingUnit
from provisioner.directory.budgets import Asker, LookupBudgets
from provisioner.directory.claim_rules import ClaimNotAllowed
from provisioner.directory.replica import ReadReplica
from provisioner.directory.resolving import Resolver, clients_that_left, itself
from provisioner.ledger.departure import released
from tests.support.directory_servers import (
    TENANT,
    Clock,
    DirectoryServer,
    home,
    homes,
    request,
)

RING = KeyRing(epochs=(new_epoch(1, now=0.0, random=random.Random(2).randbytes),))
MAIL, PHONE = "mailto:anna@mail.example", "tel:+442079460018"


def named(text: str) -> Identifier:
    found = read_any(text)
    assert isinstance(found, Identifier), found
    return found


class Served:
    """A resolver over a real store, and a server that claims."""

    def __init__(self, store) -> None:
        self.store = store
        self.clock = Clock()
        self.server = DirectoryServer(store, clock=self.clock)
        self.claims = ReadReplica(store, keys.DIRECTORY, itself)
        self.homes = ReadReplica(store, keys.WHO_LEFT, clients_that_left, keeps_absent=False)
        self.resolver = Resolver(
            self.claims,
            self.homes,
            self.server.registrar,
            LookupBudgets(clock=self.clock),
            secrets=lambda: self.server.secrets,
            endpoint_of=lambda unit: f"{unit}.example:443",
            introductions=IntroductionIssuer(TicketIssuer(RING)),
            wall=self.clock,
        )

    async def find(self, text: str, viewer: str = "", **more) -> list[str]:
        asker = Asker(tenant=TENANT, viewer=viewer)
        found = await self.resolver.resolve(named(text), asker, **more)
        return [one.account for one in found.residences]

    async def prove(self, account: str, text: str, *, findable: bool) -> None:
        proofs, identifier = self.server.proofs, named(text)
        await proofs.begin(TENANT, account, identifier, None, request=request())
        code = self.server.box.last()
        await proofs.finish(
            TENANT, account, identifier, code, None, request=request(), findable=findable
        )

    async def heard(self) -> None:
        """Returns once the replicas have heard of everything: a change of both comes last."""
        marks = [keys.directory_account(TENANT, "mark"), keys.move("nowhere", TENANT, "mark")]
        result = await self.store.commit(Txn(then=[Put(key, b"{}") for key in marks]))
        async with asyncio.timeout(30):
            while min(self.claims.revision, self.homes.revision) < result.revision:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@pytest.fixture
async def served(tmp_path):
    store = await EmbeddedStore.open(tmp_path / "store.db")
    await homes(store, "anna", "ben", "mallory")
    made = Served(store)
    tasks = [asyncio.create_task(one.run()) for one in (made.claims, made.homes)]
    await made.heard()
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.close()


async def missed(waited) -> str:
    with pytest.raises(NotFound) as refused:
        await waited
    return refused.value.message


async def test_a_handle_is_found_with_its_home(served):
    await served.server.handles.claim(TENANT, "anna", "anna", None, request=request())
    found = await served.resolver.resolve(named("@Anna"), Asker(tenant=TENANT, viewer="ben"))
    (one,) = found.residences
    assert (one.account, one.unit_id, one.epoch) == ("anna", "london", 1)
    assert one.endpoint == "london.example:443"
    assert not found.stale


async def test_an_account_is_found_by_its_id_and_walking_ids_costs_as_names_do(served):
    asker = Asker(tenant=TENANT, viewer="ben", unit_id="paris")
    found = await served.resolver.resolve_account("anna", asker)
    (one,) = found.residences
    assert (one.account, one.unit_id, one.epoch) == ("anna", "london", 1)
    assert one.introduction
    refused = 0
    for number in range(20):
        try:
            await served.resolver.resolve_account(f"nobody-{number}", asker)
        except Exhausted:
            refused += 1
        except NotFound:
            assert not refused
    assert refused > 5


async def test_a_unit_is_given_an_introduction_for_its_viewer_and_an_operator_none(served):
    await served.server.handles.claim(TENANT, "anna", "anna", None, request=request())
    asker = Asker(tenant=TENANT, viewer="ben", unit_id="paris")
    (one,) = (await served.resolver.resolve(named("@anna"), asker)).residences
    door = TicketVerifier("london", TicketIssuer(RING).keys_for("london"))
    now = served.clock()
    assert check_introduction(one.introduction, door, "london", now) == Introduction(
        tenant=TENANT, account="anna", epoch=1, viewer="ben", from_unit="paris",
        first_ms=1_000, expires_at=one.expires_at,
    )  # fmt: skip
    for other in (Asker(tenant=TENANT), Asker(tenant=TENANT, viewer="ben")):
        (one,) = (await served.resolver.resolve(named("@anna"), other)).residences
        assert one.introduction == ""


async def test_a_name_that_only_looks_like_it_is_nobodys(served):
    await served.server.handles.claim(TENANT, "anna", "anna-m", None, request=request())
    await missed(served.find("@annarn", "ben"))


async def test_an_identifier_is_found_by_others_where_its_account_said_so(served):
    await served.prove("anna", PHONE, findable=False)
    await served.prove("anna", MAIL, findable=True)
    assert await served.find(MAIL, "ben") == ["anna"]
    await missed(served.find(PHONE, "ben"))
    assert await served.find(PHONE, "anna") == ["anna"]  # its own
    assert await served.find(PHONE) == ["anna"]  # an operator


async def test_an_address_of_several_accounts_finds_those_that_may_be_found(served):
    await served.prove("anna", MAIL, findable=True)
    await served.prove("ben", MAIL, findable=False)
    assert await served.find(MAIL, "mallory") == ["anna"]
    assert await served.find(MAIL, "ben") == ["anna", "ben"]


async def test_hidden_and_absent_are_told_alike(served):
    await served.prove("anna", PHONE, findable=False)
    hidden = await missed(served.find(PHONE, "ben"))
    absent = await missed(served.find("tel:+442079460019", "ben"))
    assert hidden == absent


@pytest.mark.parametrize(
    "probes",
    [pytest.param(2_000, id="short"), pytest.param(100_000, id="long", marks=pytest.mark.slow)],
)
async def test_probes_learn_nothing(served, probes):
    """Two strangers walk numbers, one where all are hidden, one where there are none: each is
    answered the same, at the same times, though a hundred people have proved theirs."""
    people = [f"person{n}" for n in range(20)]
    await homes(served.store, *people)
    for number, person in enumerate(people):
        await served.prove(person, f"tel:+4420794601{number:02}", findable=False)

    async def walk(viewer: str, prefix: str) -> list[str]:
        answers = []
        for number in range(probes):
            try:
                await served.find(f"tel:+44207946{prefix}{number % 20:02}", viewer)
                answers.append("found")
            except (NotFound, Exhausted) as error:
                answers.append(f"{error.reason} {error.message} {error.retry_after_s}")
        return answers

    there, nowhere = await walk("mallory", "01"), await walk("ben", "02")
    assert there == nowhere
    assert "found" not in there
    assert sum(one.startswith("NOT_FOUND") for one in there) < 10


async def test_a_change_is_heard_of(served):
    handles = served.server.handles
    await missed(served.find("@anna"))
    await handles.claim(TENANT, "anna", "anna", None, request=request())
    await served.heard()
    assert await served.find("@anna") == ["anna"]
    await handles.release(TENANT, "anna", "anna", None, request=request())
    await served.heard()
    await missed(served.find("@anna"))


async def test_a_client_that_moved_is_found_at_its_new_home(served):
    await served.server.handles.claim(TENANT, "anna", "anna", None, request=request())
    assert await served.find("@anna") == ["anna"]
    departed = Put(keys.move("london", TENANT, "anna"), b"{}")
    moved = home("anna", unit="paris", epoch=2)
    await served.store.commit(Txn(then=[*moved.then, departed]))
    await served.heard()
    found = await served.resolver.resolve(named("@anna"), Asker(tenant=TENANT))
    assert [(one.unit_id, one.epoch) for one in found.residences] == [("paris", 2)]


async def test_a_client_that_was_released_is_found_no_more_nor_who_comes_after_it(served):
    await served.server.handles.claim(TENANT, "anna", "anna", None, request=request())
    assert await served.find("@anna") == ["anna"]
    key = keys.assignment(TENANT, "anna")
    await served.store.commit(Txn(then=[Delete(key), released([key])]))
    await served.heard()
    await missed(served.find("@anna"))
    await served.store.commit(home("anna", first_ms=9_000))
    await missed(served.find("@anna"))


async def test_a_remembered_name_costs_no_read_and_a_fresh_one_does(served):
    await served.server.handles.claim(TENANT, "anna", "anna", None, request=request())
    await served.heard()
    await served.find("@anna")
    misses = served.claims.misses, served.homes.misses
    await served.find("@anna")
    assert (served.claims.misses, served.homes.misses) == misses
    await served.find("@anna", fresh=True)
    assert (served.claims.misses, served.homes.misses) == (misses[0] + 1, misses[1] + 1)


async def test_a_viewer_is_asked_for_by_its_home_alone(served):
    check = served.resolver.check_viewer
    await check(TENANT, "ben", ActingUnit(unit_id="london", epoch=1))
    for acting in (ActingUnit(unit_id="paris", epoch=1), ActingUnit(unit_id="london", epoch=2)):
        with pytest.raises(ClaimNotAllowed):
            await check(TENANT, "ben", acting)
    with pytest.raises(NotFound):
        await check(TENANT, "nobody", ActingUnit(unit_id="london", epoch=1))


async def test_while_the_store_is_away_what_is_known_is_told_as_stale(served):
    await served.server.handles.claim(TENANT, "anna", "anna", None, request=request())
    await served.heard()
    await served.find("@anna")
    served.store.health.connected = False
    found = await served.resolver.resolve(named("@anna"), Asker(tenant=TENANT))
    assert found.stale
