"""IdentityService: what is suggested rests on what was sent and came before, in this account alone;
requests have bounds; and all of it moves with the account."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput, NotFound, ServiceError, Unauthenticated
from control_plane.quotas.token_buckets import Rate
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.originals import find_original
from deployment_units.services.identities import kept
from deployment_units.services.identities.frequency import HALF_LIFE_MS
from deployment_units.services.identities.kept import NotYourIdentifier
from deployment_units.services.identities.service import IdentityService, TooMuchAsked
from deployment_units.services.state.port import read_state, replace_state
from homeport.api.communication.v1 import conversation_pb2 as talk
from homeport.api.communication.v1 import identity_pb2 as pb
from tests.support.account_units import NOW, TENANT, AccountUnit, account_unit
from tests.support.fakes.call_context import FakeContext
from tests.support.own_identifiers import furnish

WORK, PRIVATE, HANDLE = "mailto:anna@northwind.example", "mailto:anna@mail.example", "@anna"
BEN_WORK, BEN_HOME = "mailto:ben@contoso.example", "mailto:ben@mail.example"
ANNA = Resident(tenant=TENANT, account="anna", epoch=1)


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[AccountUnit]:
    async with account_unit(tmp_path / "u") as one:
        await furnish(one, "anna", HANDLE, WORK, PRIVATE)
        await furnish(one, "anna", "mailto:boss@northwind.example", proved=False)
        await furnish(one, "ben", BEN_WORK, BEN_HOME)
        yield one


async def send(
    unit: AccountUnit, number: int, from_: str, at: str, *, by: str = "anna", to: str = "ben",
    talk_id: int = 1,
) -> None:  # fmt: skip
    request = talk.SendMessageRequest(
        conversation=talk_id.to_bytes(16, "big"), id=number.to_bytes(16, "big"), members=[to],
        content=talk.Content(text="hello"), from_identifier=from_,
        to_identifiers={to: at} if at else {},
    )  # fmt: skip
    await unit.conversations.SendMessage(request, unit.by_ticket(by))


def asked(**more: object) -> pb.SuggestRequest:
    ben = pb.Contactee(member="ben", identifiers=[BEN_WORK, BEN_HOME])
    return pb.SuggestRequest(contactees=[ben], **more)


async def suggested(unit: AccountUnit, **more: object) -> tuple[str, str, list[str]]:
    """As whom, at which identifier, and the rules of warnings."""
    found = await unit.identities.Suggest(asked(**more), unit.by_ticket("anna"))
    return (
        found.contactor.identifier,
        found.contactees[0].choice.identifier,
        [one.rule for one in found.warnings],
    )


async def test_what_was_written_before_is_suggested_and_each_choice_ranks_the_other(
    unit: AccountUnit,
) -> None:
    assert await suggested(unit) == (PRIVATE, BEN_HOME, [])  # of one domain
    await send(unit, 1, WORK, BEN_WORK)
    await send(unit, 2, WORK, BEN_WORK)
    await send(unit, 3, PRIVATE, BEN_HOME, talk_id=2)
    assert await suggested(unit) == (WORK, BEN_WORK, [])
    assert await suggested(unit, chosen_from=PRIVATE) == (PRIVATE, BEN_HOME, [])
    assert await suggested(unit, chosen_to={"ben": BEN_HOME}) == (PRIVATE, BEN_HOME, [])
    both = await suggested(unit, chosen_from=PRIVATE, chosen_to={"ben": BEN_WORK})
    assert both == (PRIVATE, BEN_WORK, ["unknown identity"])
    assert (await suggested(unit, conversation=(2).to_bytes(16, "big")))[0] == PRIVATE


async def test_identifiers_that_were_used_before_are_ranked_unasked(unit: AccountUnit) -> None:
    await send(unit, 1, PRIVATE, BEN_HOME)
    await send(unit, 2, BEN_WORK, WORK, by="ben", to="anna")
    ben = pb.Contactee(member="ben", identifiers=["@ben"])
    for contactee, expected in (
        (pb.Contactee(member="ben"), {BEN_HOME, BEN_WORK, "ben"}),
        (ben, {BEN_HOME, BEN_WORK, "@ben"}),
    ):
        found = await unit.identities.Suggest(
            pb.SuggestRequest(contactees=[contactee]), unit.by_ticket("anna")
        )
        ranked = [one.identifier for one in found.contactees[0].choice.ranked]
        assert set(ranked) == expected
        assert ranked[0] in (BEN_HOME, BEN_WORK)


async def test_only_what_is_proved_is_suggested_or_may_be_chosen(unit: AccountUnit) -> None:
    found = await unit.identities.Suggest(asked(), unit.by_ticket("anna"))
    assert {one.identifier for one in found.contactor.ranked} == {WORK, PRIVATE, HANDLE}
    assert all(one.why for one in found.contactor.ranked)
    for not_hers in ("mailto:boss@northwind.example", BEN_WORK, "@ben"):
        with pytest.raises(NotYourIdentifier):
            await suggested(unit, chosen_from=not_hers)


async def test_who_is_written_to_has_it_as_known_and_a_repeat_counts_once(
    unit: AccountUnit,
) -> None:
    await send(unit, 1, WORK, BEN_WORK)
    await send(unit, 1, WORK, BEN_WORK)
    now_ms = unit.wall_ms()

    def of(account: str, contact: str, own: str) -> int | None:
        resident = Resident(tenant=TENANT, account=account, epoch=1)
        found = unit.accounts.read(resident, lambda db, n: kept.history(db, n, [contact]))
        use = found.pairs.get(contact, {}).get(own)
        return use.rank_ms if use else None

    assert of("anna", BEN_WORK, WORK) == now_ms
    assert of("ben", WORK, BEN_WORK) == now_ms
    await send(unit, 2, WORK, BEN_WORK)
    assert of("anna", BEN_WORK, WORK) == now_ms + HALF_LIFE_MS


async def test_what_is_said_to_be_somebodys_counts_where_it_is(unit: AccountUnit) -> None:
    await send(unit, 1, WORK, "mailto:somebody@contoso.example")
    ben = Resident(tenant=TENANT, account="ben", epoch=1)
    found = unit.accounts.read(ben, lambda db, n: kept.history(db, n, [WORK]))
    assert found.pairs == {}


async def test_a_reply_is_from_where_it_came_to_and_to_where_it_came_from(
    unit: AccountUnit,
) -> None:
    await send(unit, 1, WORK, BEN_WORK)
    await send(unit, 2, BEN_HOME, PRIVATE, by="ben", to="anna")
    plan = pb.PlanReplyRequest(message=(2).to_bytes(16, "big"))
    found = await unit.identities.PlanReply(plan, unit.by_ticket("anna"))
    assert found.contactor.identifier == PRIVATE
    assert [(one.member, one.identifier) for one in found.to] == [("ben", BEN_HOME)]
    assert found.conversation == (1).to_bytes(16, "big")

    own = pb.PlanReplyRequest(message=(1).to_bytes(16, "big"), mode=pb.REPLY_MODE_REPLY_ALL)
    found = await unit.identities.PlanReply(own, unit.by_ticket("anna"))
    assert found.contactor.identifier == WORK
    assert [(one.member, one.identifier) for one in found.to] == [("ben", BEN_WORK)]
    assert found.contactor.why[0].rule == "own message"

    on = pb.PlanReplyRequest(message=(2).to_bytes(16, "big"), mode=pb.REPLY_MODE_FORWARD)
    found = await unit.identities.PlanReply(on, unit.by_ticket("anna"))
    assert (found.contactor.identifier, list(found.to), found.conversation) == (PRIVATE, [], b"")

    missing = pb.PlanReplyRequest(message=(9).to_bytes(16, "big"))
    with pytest.raises(NotFound):
        await unit.identities.PlanReply(missing, unit.by_ticket("anna"))


async def test_a_reply_to_all_of_a_conversation_shows_nobody_anything_new(
    unit: AccountUnit,
) -> None:
    """Its members see each other, also where a message names no identifier of theirs."""
    request = talk.SendMessageRequest(
        conversation=bytes(16), id=(1).to_bytes(16, "big"),
        members=["anna", "mailto:c@mail.example"],
        content=talk.Content(text="hello"),
    )  # fmt: skip
    await unit.conversations.SendMessage(request, unit.by_ticket("ben"))
    plan = pb.PlanReplyRequest(message=(1).to_bytes(16, "big"), mode=pb.REPLY_MODE_REPLY_ALL)
    found = await unit.identities.PlanReply(plan, unit.by_ticket("anna"))
    assert {one.member for one in found.to} == {"ben", "mailto:c@mail.example"}
    assert "blind copy" not in [one.rule for one in found.warnings]


async def test_what_is_anothers_is_not_seen(unit: AccountUnit) -> None:
    await send(unit, 1, WORK, BEN_WORK)
    found = await unit.identities.Suggest(
        pb.SuggestRequest(contactees=[pb.Contactee(member="ben", identifiers=[BEN_WORK])]),
        unit.by_ticket("carla"),
    )
    assert list(found.contactor.ranked) == []
    assert [one.rule for one in found.contactees[0].choice.why] == ["listed"]
    plan = pb.PlanReplyRequest(message=(1).to_bytes(16, "big"))
    with pytest.raises(NotFound):
        await unit.identities.PlanReply(plan, unit.by_ticket("carla"))
    with pytest.raises(Unauthenticated):
        await unit.identities.Suggest(asked(), FakeContext(""))
    with pytest.raises(ServiceError):
        await unit.identities.Suggest(asked(), unit.by_introduction("anna", viewer="ben"))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.SuggestRequest(contactees=[pb.Contactee(member=f"a{n}") for n in range(101)]),
         "contactees"),
        (pb.SuggestRequest(contactees=[pb.Contactee(member="ben"), pb.Contactee(member="ben")]),
         "contactees[1].member"),
        (pb.SuggestRequest(contactees=[pb.Contactee(
            member="ben", identifiers=[f"@ben{n}" for n in range(17)])]),
         "contactees[0].identifiers"),
        (pb.SuggestRequest(contactees=[pb.Contactee(member="ben", identifiers=["mailto:"])]),
         "contactees[0].identifiers[0]"),
        (pb.SuggestRequest(chosen_to={"ben": "@ben"}), 'chosen_to["ben"]'),
        (pb.SuggestRequest(chosen_from="anna"), "chosen_from"),
        (pb.SuggestRequest(conversation=b"short"), "conversation"),
        (pb.PlanReplyRequest(message=b"short"), "message"),
        (pb.PlanReplyRequest(message=bytes(16), mode=9), "mode"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_request_is_named(unit, request_, field) -> None:
    method = "PlanReply" if isinstance(request_, pb.PlanReplyRequest) else "Suggest"
    with pytest.raises(InvalidInput) as error:
        await getattr(unit.identities, method)(request_, unit.by_ticket("anna"))
    assert error.value.field == field


async def test_what_is_kept_is_bounded_and_the_least_used_go_first(unit: AccountUnit) -> None:
    def use(db: sqlite3.Connection, owner: int) -> None:
        for number in range(6):
            for _ in range(3 if number == 0 else 1):
                kept.note_use(
                    db, owner, bytes([number]) * 16, WORK, [("b", f"@b{number}")],
                    now_ms=number + 1, most_pairs=3, most_threads=2,
                )  # fmt: skip

    await unit.accounts.change(ANNA, use)

    def rows(db: sqlite3.Connection, owner: int) -> tuple[list[str], list[bytes]]:
        pairs = db.execute("SELECT contact FROM pairs WHERE owner = ? ORDER BY contact", (owner,))
        used = db.execute("SELECT conversation FROM used WHERE owner = ?", (owner,))
        return [one for (one,) in pairs], [one for (one,) in used]

    pairs, used = unit.accounts.read(ANNA, rows)
    assert pairs == ["@b0", "@b4", "@b5"]
    assert used == [bytes([4]) * 16, bytes([5]) * 16]


async def test_it_moves_with_the_account(unit: AccountUnit, tmp_path: Path) -> None:
    await send(unit, 1, WORK, BEN_WORK)
    await send(unit, 2, PRIVATE, BEN_HOME, talk_id=2)
    before = await unit.identities.Suggest(asked(), unit.by_ticket("anna"))
    exported = await read_state(unit.state, TENANT, "anna")
    async with account_unit(tmp_path / "other", "other", unit.issuer, NOW) as other:
        await replace_state(other.state, TENANT, "anna", 2, exported)
        after = await other.identities.Suggest(asked(), other.by_ticket("anna", epoch=2))
    assert after == before


async def test_a_conversation_that_is_removed_leaves_no_thread(unit: AccountUnit) -> None:
    await send(unit, 1, PRIVATE, BEN_WORK)
    conversation = (1).to_bytes(16, "big")
    await unit.conversations.RemoveConversation(
        talk.RemoveConversationRequest(conversation=conversation), unit.by_ticket("anna")
    )
    read = unit.accounts.read(ANNA, lambda db, n: kept.history(db, n, [], conversation))
    assert read.thread == ""


async def test_who_asks_of_many_identifiers_again_and_again_waits(unit: AccountUnit) -> None:
    now_s = 0.0
    service = IdentityService(
        unit.accounts, unit.callers, find_original, wall_ms=unit.wall_ms,
        clock=lambda: now_s, rate=Rate(per_s=1.0, burst=4.0),
    )  # fmt: skip
    many = [pb.Contactee(member=f"m{n}", identifiers=[f"@n{n}"]) for n in range(20)]
    large, ticket = pb.SuggestRequest(contactees=many), unit.by_ticket("anna")
    await service.Suggest(large, ticket)  # 3.5 of 4
    with pytest.raises(TooMuchAsked) as refused:
        await service.Suggest(asked(), ticket)
    assert 0 < (refused.value.retry_after_s or 0) < 1
    await service.Suggest(asked(), unit.by_ticket("ben"))
    now_s += 1.0
    await service.Suggest(asked(), ticket)


async def test_leaks_are_checked_of_what_was_chosen(unit: AccountUnit) -> None:
    await send(unit, 1, WORK, BEN_WORK)

    async def leaks(identifier: str, **at: str) -> list[str]:
        request = pb.CheckLeaksRequest(identifier=identifier, recipients=at)
        found = await unit.identities.CheckLeaks(request, unit.by_ticket("anna"))
        same = await unit.identities.Suggest(
            pb.SuggestRequest(
                contactees=[pb.Contactee(member=one, identifiers=[uri]) for one, uri in at.items()],
                chosen_from=identifier, chosen_to=at,
            ),
            unit.by_ticket("anna"),
        )  # fmt: skip
        assert list(same.warnings) == list(found.warnings)
        return [one.rule for one in found.warnings]

    assert await leaks(WORK, ben=BEN_WORK) == []
    assert await leaks(PRIVATE, ben=BEN_WORK) == ["unknown identity"]
    assert unit.identities.answered == {"suggestion": 4}
    assert unit.identities.warned == {"unknown identity": 2}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.CheckLeaksRequest(recipients={"ben": BEN_WORK}), "identifier"),
        (pb.CheckLeaksRequest(identifier="anna", recipients={"ben": BEN_WORK}), "identifier"),
        (pb.CheckLeaksRequest(identifier=WORK), "recipients"),
        (pb.CheckLeaksRequest(identifier=WORK, recipients={f"m{n}": "@a" for n in range(101)}),
         "recipients"),
        (pb.CheckLeaksRequest(identifier=WORK, recipients={"ben": "mailto:x"}),
         'recipients["ben"]'),
        (pb.CheckLeaksRequest(identifier=WORK, recipients={"ben": "@ben"}, conversation=b"c"),
         "conversation"),
    ],
)  # fmt: skip
async def test_leaks_are_checked_within_bounds(
    unit: AccountUnit, request_: pb.CheckLeaksRequest, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await unit.identities.CheckLeaks(request_, unit.by_ticket("anna"))
    assert refused.value.field == field


async def test_leaks_of_what_is_not_ones_own_are_not_checked(unit: AccountUnit) -> None:
    request = pb.CheckLeaksRequest(identifier=BEN_WORK, recipients={"ben": BEN_HOME})
    with pytest.raises(NotYourIdentifier):
        await unit.identities.CheckLeaks(request, unit.by_ticket("anna"))
    with pytest.raises(Unauthenticated):
        await unit.identities.CheckLeaks(request, FakeContext())
