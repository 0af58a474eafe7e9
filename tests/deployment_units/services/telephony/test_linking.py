"""Where calls go by a table of links, and that no table that is made here is ambiguous."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from deployment_units.services.telephony.allocation import (
    POOL_EMPTY,
    Ambiguity,
    allocate,
    unambiguous,
)
from deployment_units.services.telephony.dialling import Ordinary, classify
from deployment_units.services.telephony.linking import Linked, LinkTable, User, link
from deployment_units.services.telephony.port import RefusedCause

P1, P2, P3 = "+442079460301", "+442079460302", "+442079460303"
V, V2 = "+442079460001", "+442079460002"
T, T2 = "+442079460101", "+442079460102"
ANNA = User(own=(P1,), virtual=(V,))
TABLE = LinkTable(users={"anna": ANNA}, links={("anna", T): P2})


def test_a_user_who_calls_a_technical_number_reaches_its_contact_and_is_shown_by_its_own() -> None:
    assert link(P1, T, TABLE) == Linked(user="anna", target=P2, shown=V, contact=P2, outgoing=True)


def test_a_contact_who_calls_the_virtual_number_reaches_the_user_and_is_shown_as_technical() -> (
    None
):
    assert link(P2, V, TABLE) == Linked(user="anna", target=P1, shown=T, contact=P2, outgoing=False)


def test_one_technical_number_stands_for_somebody_else_towards_each_user() -> None:
    ben = User(own=(P3,), virtual=(V2,))
    table = LinkTable(users={"anna": ANNA, "ben": ben}, links={("anna", T): P2, ("ben", T): P1})
    assert unambiguous(table) == []
    to_p2, to_p1 = link(P1, T, table), link(P3, T, table)
    assert isinstance(to_p2, Linked)
    assert (to_p2.target, to_p2.shown) == (P2, V)
    assert isinstance(to_p1, Linked)
    assert (to_p1.target, to_p1.shown) == (P1, V2)


def test_a_user_with_another_telephone_keeps_links_and_the_old_one_reaches_nobody() -> None:
    moved = replace(TABLE, users={"anna": User(own=(P3,), virtual=(V,))})
    found = link(P3, T, moved)
    assert isinstance(found, Linked)
    assert found.target == P2
    assert link(P1, T, moved) is RefusedCause.NOT_FOUND
    rung = link(P2, V, moved)
    assert isinstance(rung, Linked)
    assert (rung.target, rung.shown) == (P3, T)


def test_a_caller_who_withholds_its_number_rings_as_nobody() -> None:
    assert link(None, V, TABLE) == Linked(
        user="anna", target=P1, shown=None, contact=None, outgoing=False
    )


def test_a_caller_who_withholds_its_number_reaches_no_technical_one() -> None:
    assert link(None, T, TABLE) is RefusedCause.WITHHELD


@pytest.mark.parametrize("dialled", ["+442079460101", "00442079460101", "020 7946 0101"])
def test_a_technical_number_is_one_however_it_is_dialled(dialled: str) -> None:
    read = classify(dialled, "GB")
    assert isinstance(read, Ordinary)
    found = link(P1, read.e164, TABLE)
    assert isinstance(found, Linked)
    assert found.target == P2


@pytest.mark.parametrize(
    ("caller", "dialled", "cause"),
    [
        pytest.param(P3, T, RefusedCause.NOT_FOUND, id="a-technical-number-by-a-stranger"),
        pytest.param(P2, T, RefusedCause.NOT_FOUND, id="its-own-by-the-contact"),
        pytest.param(P1, T2, RefusedCause.NOT_FOUND, id="one-that-stands-for-nobody"),
        pytest.param(P1, P2, RefusedCause.NOT_FOUND, id="the-contact-itself"),
        pytest.param(P1, V, RefusedCause.LOOP, id="the-own-virtual-number"),
    ],
)
def test_nobody_else_is_reached(caller: str, dialled: str, cause: RefusedCause) -> None:
    assert link(caller, dialled, TABLE) is cause


def test_a_user_without_a_virtual_number_is_shown_to_nobody() -> None:
    without = replace(TABLE, users={"anna": User(own=(P1,))})
    assert link(P1, T, without) is RefusedCause.NO_NUMBER


def test_a_user_without_a_telephone_is_not_rung() -> None:
    without = replace(TABLE, users={"anna": User(virtual=(V,))})
    assert link(P2, V, without) is RefusedCause.NO_NUMBER


def test_a_stranger_is_told_from_a_contact() -> None:
    found = link(P3, V, TABLE)
    assert isinstance(found, Linked)
    assert found.stranger
    assert found.shown is None


def test_a_contact_has_one_number_towards_a_user() -> None:
    assert allocate("anna", P2, TABLE, (T2, T)) == T


def test_a_number_that_stands_for_another_user_s_contact_is_free() -> None:
    assert allocate("ben", P2, TABLE, (T, T2)) == T


def test_a_number_that_rests_is_nobody_s_yet() -> None:
    resting = replace(TABLE, resting=frozenset({("anna", T2)}))
    assert allocate("anna", P3, resting, (T, T2)) is POOL_EMPTY
    assert link(P1, T2, resting) is RefusedCause.NOT_FOUND


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        pytest.param(
            LinkTable(users={"anna": ANNA}, links={("anna", T): P2, ("anna", T2): P2}),
            Ambiguity.TWO_NUMBERS_OF_CONTACT,
            id="two-for-one-contact",
        ),
        pytest.param(
            LinkTable(users={"anna": ANNA, "ben": User(own=(P3,), virtual=(V,))}),
            Ambiguity.VIRTUAL_OF_TWO,
            id="virtual-of-two",
        ),
        pytest.param(
            LinkTable(users={"anna": ANNA, "ben": User(own=(P1,))}),
            Ambiguity.OWN_OF_TWO,
            id="own-of-two",
        ),
        pytest.param(
            LinkTable(users={"anna": ANNA}, links={("anna", V): P2}),
            Ambiguity.VIRTUAL_AND_TECHNICAL,
            id="virtual-and-technical",
        ),
        pytest.param(
            LinkTable(links={("anna", T): P2}), Ambiguity.LINKED_WITHOUT_USER, id="of-nobody"
        ),
        pytest.param(
            replace(TABLE, resting=frozenset({("anna", T)})),
            Ambiguity.RESTS_AND_STANDS,
            id="rests-and-stands",
        ),
    ],
)
def test_what_is_ambiguous_is_found(table: LinkTable, kind: Ambiguity) -> None:
    assert [one.kind for one in unambiguous(table)] == [kind]


_PHONES = [f"+4420794603{n:02}" for n in range(8)]
_VIRTUAL = [f"+4420794600{n:02}" for n in range(6)]
_POOL = [f"+4420794601{n:02}" for n in range(3)]
_users, _phones = st.sampled_from(["anna", "ben", "carla"]), st.sampled_from(_PHONES)


class Tables(RuleBasedStateMachine):
    """Users come, go and change their telephones; contacts are linked and released, at two units
    between which users move. What claims and numbers of the directory see to is seen to here: a
    telephone and a virtual number are one user's."""

    def __init__(self) -> None:
        super().__init__()
        self.units = [LinkTable(), LinkTable()]

    def _of(self, user: str) -> int | None:
        return next((n for n, one in enumerate(self.units) if user in one.users), None)

    def _taken(self) -> set[str]:
        return {n for unit in self.units for u in unit.users.values() for n in u.own + u.virtual}

    @rule(user=_users, phone=_phones, virtual=st.sampled_from(_VIRTUAL))
    def come(self, user: str, phone: str, virtual: str) -> None:
        if self._of(user) is None and not {phone, virtual} & self._taken():
            one = self.units[0]
            came = {**one.users, user: User(own=(phone,), virtual=(virtual,))}
            self.units[0] = replace(one, users=came)

    @rule(user=_users, phone=_phones)
    def change_telephone(self, user: str, phone: str) -> None:
        at = self._of(user)
        if at is not None and phone not in self._taken():
            unit = self.units[at]
            changed = {**unit.users, user: replace(unit.users[user], own=(phone,))}
            self.units[at] = replace(unit, users=changed)

    @rule(user=_users, contact=_phones)
    def allocate(self, user: str, contact: str) -> None:
        at = self._of(user)
        if at is None or contact in self.units[at].users[user].own:
            return
        unit = self.units[at]
        found = allocate(user, contact, unit, _POOL)
        if isinstance(found, str):
            self.units[at] = replace(unit, links={**unit.links, (user, found): contact})
        else:
            mine = [t for whose, t in (*unit.links, *unit.resting) if whose == user]
            assert sorted(mine) == _POOL  # no sooner

    @rule(user=_users, technical=st.sampled_from(_POOL))
    def release(self, user: str, technical: str) -> None:
        for n, unit in enumerate(self.units):
            if (user, technical) in unit.links:
                kept = {place: p2 for place, p2 in unit.links.items() if place != (user, technical)}
                rests = unit.resting | {(user, technical)}
                self.units[n] = replace(unit, links=kept, resting=rests)

    @rule()
    def rested(self) -> None:
        self.units = [replace(unit, resting=frozenset()) for unit in self.units]

    @precondition(lambda self: any(one.users for one in self.units))
    @rule(user=_users)
    def move(self, user: str) -> None:
        at = self._of(user)
        if at is None:
            return
        source, target = self.units[at], self.units[1 - at]
        mine = {place: p2 for place, p2 in source.links.items() if place[0] == user}
        rests = frozenset(place for place in source.resting if place[0] == user)
        self.units[at] = LinkTable(
            users={name: one for name, one in source.users.items() if name != user},
            links={place: p2 for place, p2 in source.links.items() if place not in mine},
            resting=source.resting - rests,
        )
        self.units[1 - at] = LinkTable(
            users={**target.users, user: source.users[user]},
            links={**target.links, **mine},
            resting=target.resting | rests,
        )

    @invariant()
    def nothing_is_ambiguous(self) -> None:
        both = LinkTable(
            users={**self.units[0].users, **self.units[1].users},
            links={**self.units[0].links, **self.units[1].links},
            resting=self.units[0].resting | self.units[1].resting,
        )
        assert unambiguous(both) == []
        for (user, technical), contact in both.links.items():
            own = both.users[user]
            if contact in own.own:  # it took its contact's telephone over
                continue
            there = link(own.own[0], technical, both)
            back = link(contact, own.virtual[0], both)
            assert isinstance(there, Linked)
            assert isinstance(back, Linked)
            assert (there.user, there.target, there.shown) == (user, contact, own.virtual[0])
            assert (back.user, back.target, back.shown) == (user, own.own[0], technical)


TestTables = Tables.TestCase
TestTables.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.permutations(_POOL), st.lists(_phones, unique=True, max_size=6))
@settings(max_examples=50, deadline=None)
def test_a_pool_serves_as_many_contacts_of_one_user_as_it_has_numbers(
    pool: list[str], contacts: list[str]
) -> None:
    table = LinkTable(users={"anna": ANNA})
    given_out = []
    for contact in contacts:
        found = allocate("anna", contact, table, pool)
        if isinstance(found, str):
            given_out.append(found)
            table = replace(table, links={**table.links, ("anna", found): contact})
    assert given_out == pool[: len(contacts)]
