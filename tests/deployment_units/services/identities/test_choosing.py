"""As whom to write and at which identifier: what is chosen stays, each choice ranks the other side
anew, everything has its reason, and what was used more or later does not fall behind for it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.identities.choosing import reaches, suggest
from deployment_units.services.identities.frequency import (
    HALF_LIFE_MS,
    combined,
    used_again,
    weight,
)
from deployment_units.services.identities.identity import (
    NO_HISTORY,
    Chosen,
    Contactee,
    ContacteeIdentifier,
    History,
    IdentityRule,
    LeakRule,
    Mailbox,
    Original,
    OwnIdentity,
    PairUse,
)

DAY_MS = 86_400_000
NOW_MS = 1_000 * DAY_MS
WORK = OwnIdentity(uri="mailto:anna@northwind.example", organisation="northwind.example")
PRIVATE = OwnIdentity(uri="mailto:anna@mail.example")
HANDLE = OwnIdentity(uri="@anna")
PHONE = OwnIdentity(uri="tel:+442079460301")
ANNA = (WORK, PRIVATE, HANDLE, PHONE)
BEN_WORK = ContacteeIdentifier(uri="mailto:ben@contoso.example", organisation="contoso.example")
BEN_HOME = ContacteeIdentifier(uri="mailto:ben@mail.example")
BEN = Contactee(member="ben", identifiers=(BEN_WORK, BEN_HOME))
CARLA = Contactee(
    member="carla", identifiers=(ContacteeIdentifier(uri="mailto:carla@mail.example"),)
)
DEV = Contactee(member="dev", identifiers=(ContacteeIdentifier(uri="tel:+442079460302"),))


def used(*pairs: tuple[str, str, int]) -> dict[str, dict[str, PairUse]]:
    """(their identifier, own identity, days ago)…, each a use."""
    found: dict[str, dict[str, PairUse]] = {}
    for theirs, own, days in pairs:
        at_ms = NOW_MS - days * DAY_MS
        before = found.setdefault(theirs, {}).get(own)
        rank = used_again(before and before.rank_ms, at_ms)
        found[theirs][own] = PairUse(rank_ms=rank, last_ms=at_ms)
    return found


BEFORE = History(
    pairs=used(
        (BEN_WORK.uri, WORK.uri, 3),
        (BEN_WORK.uri, WORK.uri, 9),
        (BEN_HOME.uri, PRIVATE.uri, 40),
        ("mailto:carla@mail.example", PRIVATE.uri, 1),
    )
)


def test_choosing_an_own_identity_ranks_contactees_anew_and_the_other_way() -> None:
    three = (BEN, CARLA, DEV)
    first = suggest(ANNA, three, BEFORE, now_ms=NOW_MS)
    assert first.contactees["ben"].uri == BEN_WORK.uri

    private = suggest(ANNA, three, BEFORE, chosen=Chosen(contactor=PRIVATE.uri), now_ms=NOW_MS)
    assert private.contactor.uri == PRIVATE.uri
    assert private.contactor.chosen
    ben = private.contactees["ben"]
    assert [one.uri for one in ben.ranked] == [BEN_HOME.uri, BEN_WORK.uri]
    assert f"nobody at contoso.example has seen {PRIVATE.uri}" in {
        why.clause for why in ben.ranked[1].why
    }

    company = suggest(
        ANNA, three, BEFORE, chosen=Chosen(contactees={"ben": BEN_WORK.uri}), now_ms=NOW_MS
    )
    assert company.contactor.uri == WORK.uri
    assert company.contactor.why[0].rule == IdentityRule.CONTACT


def test_what_is_chosen_against_the_history_is_kept_and_warned_of() -> None:
    chosen = Chosen(contactor=PRIVATE.uri, contactees={"ben": BEN_WORK.uri})
    found = suggest(ANNA, (BEN, CARLA), BEFORE, chosen=chosen, now_ms=NOW_MS)
    assert (found.contactor.uri, found.contactees["ben"].uri) == (PRIVATE.uri, BEN_WORK.uri)
    assert [(one.rule, one.about) for one in found.warnings] == [
        (LeakRule.UNKNOWN_IDENTITY, "contoso.example")
    ]


@pytest.mark.parametrize(
    ("original", "thread", "to", "rule", "expected"),
    [
        pytest.param(
            Original(sender=Mailbox(uri=PRIVATE.uri), sent=True), HANDLE.uri, BEN,
            IdentityRule.OWN_MESSAGE, PRIVATE, id="1-the-one-that-wrote-an-own-message",
        ),
        pytest.param(
            Original(sender=Mailbox(uri="@ben"), to=(Mailbox(uri=PHONE.uri),)), HANDLE.uri, BEN,
            IdentityRule.RECEIVED_AT, PHONE, id="2-the-one-it-came-to",
        ),
        pytest.param(
            Original(sender=Mailbox(uri="@ben"), to=(Mailbox(uri="mailto:anna+a@mail.example"),)),
            HANDLE.uri, BEN, IdentityRule.PATTERN, PRIVATE, id="3-the-one-of-a-sub-address",
        ),
        pytest.param(None, HANDLE.uri, BEN, IdentityRule.THREAD, HANDLE, id="4-that-of-the-thread"),
        pytest.param(None, "", CARLA, IdentityRule.CONTACT, PRIVATE, id="5-that-of-the-contactee"),
        pytest.param(
            None, "",
            Contactee(
                member="eve",
                identifiers=(
                    ContacteeIdentifier(
                        uri="mailto:eve@northwind.example", organisation="northwind.example"
                    ),
                ),
            ),
            IdentityRule.ORGANISATION, WORK, id="6-that-of-the-organisation",
        ),
        pytest.param(None, "", DEV, IdentityRule.DEFAULT, WORK, id="7-the-default"),
    ],
)  # fmt: skip
def test_the_first_rule_that_speaks_wins(original, thread, to, rule, expected) -> None:
    # Northwind's is not the first one where its organisation is to speak.
    own = (PRIVATE, WORK, HANDLE, PHONE) if rule is IdentityRule.ORGANISATION else ANNA
    history = replace(BEFORE, thread=thread)
    found = suggest(own, (to,), history, original=original, now_ms=NOW_MS)
    assert (found.contactor.uri, found.contactor.why[0].rule) == (expected.uri, rule)


def test_what_is_not_proved_is_never_suggested() -> None:
    claimed = replace(PRIVATE, proved=False)
    found = suggest((claimed, HANDLE), (CARLA,), BEFORE, now_ms=NOW_MS)
    assert [one.uri for one in found.contactor.ranked] == [HANDLE.uri]


def test_without_an_identity_there_is_nothing_to_choose_from() -> None:
    found = suggest((), (BEN,), NO_HISTORY, now_ms=NOW_MS)
    assert (found.contactor.uri, found.contactor.ranked) == ("", ())
    assert found.contactor.why
    assert found.contactees["ben"].uri == BEN_WORK.uri


@pytest.mark.parametrize(
    ("own", "theirs", "expected"),
    [
        ("@anna", "mailto:b@x.example", True),
        ("mailto:a@x.example", "@ben", True),
        ("mailto:a@x.example", "ben", True),
        ("mailto:a@x.example", "mailto:b@x.example", True),
        ("mailto:a@x.example", "tel:+442079460302", False),
        ("tel:+442079460301", "sip:b@x.example", True),
    ],
)
def test_what_reaches_what(own: str, theirs: str, expected: bool) -> None:
    assert reaches(own, theirs) is expected


# Everything below holds of whatever there is.

own_uris = st.sampled_from(["mailto:a@x.example", "mailto:a@y.example", "@a", "tel:+442079460301"])
their_uris = st.sampled_from(
    ["mailto:b@x.example", "mailto:b@z.example", "@b", "b", "tel:+442079460302"]
)
organisations = st.sampled_from(["", "x.example", "z.example"])
owns = st.lists(
    st.builds(OwnIdentity, uri=own_uris, proved=st.booleans(), organisation=organisations),
    max_size=4, unique_by=lambda one: one.uri,
)  # fmt: skip
identifiers = st.lists(
    st.builds(
        ContacteeIdentifier, uri=their_uris, organisation=organisations, reachable=st.booleans()
    ),
    min_size=1, max_size=4, unique_by=lambda one: one.uri,
)  # fmt: skip
contactees = st.lists(
    st.builds(Contactee, member=st.sampled_from("bcd"), identifiers=identifiers.map(tuple)),
    max_size=3, unique_by=lambda one: one.member,
)  # fmt: skip
uses = st.builds(PairUse, rank_ms=st.integers(1, NOW_MS), last_ms=st.integers(1, NOW_MS))
histories = st.builds(
    History,
    pairs=st.dictionaries(their_uris, st.dictionaries(own_uris, uses, min_size=1, max_size=3)),
    thread=st.just("") | own_uris,
)
picks = st.builds(
    Chosen,
    contactor=st.just("") | own_uris,
    contactees=st.dictionaries(st.sampled_from("bcd"), their_uris),
)


@given(owns, contactees, histories, picks)
def test_a_suggestion_is_determined_gives_reasons_and_leaves_what_is_chosen(
    own: list[OwnIdentity], to: list[Contactee], history: History, chosen: Chosen
) -> None:
    found = suggest(own, to, history, chosen=chosen, now_ms=NOW_MS)
    assert found == suggest(own, to, history, chosen=chosen, now_ms=NOW_MS)
    choices = [found.contactor, *found.contactees.values()]
    assert all(one.why for one in choices)
    assert all(each.why for one in choices for each in one.ranked)
    assert {one.uri for one in found.contactor.ranked} == {one.uri for one in own if one.proved}
    if chosen.contactor:
        assert (found.contactor.uri, found.contactor.chosen) == (chosen.contactor, True)
    for member, choice in found.contactees.items():
        if picked := chosen.contactees.get(member):
            assert (choice.uri, choice.chosen) == (picked, True)
    assert list(found.contactees) == [one.member for one in to]


@given(owns, contactees, histories, picks, st.integers(0, 10 * HALF_LIFE_MS))
def test_the_order_does_not_depend_on_the_clock(
    own: list[OwnIdentity], to: list[Contactee], history: History, chosen: Chosen, later: int
) -> None:
    def order(now_ms: int) -> list[list[str]]:
        found = suggest(own, to, history, chosen=chosen, now_ms=now_ms)
        choices = [found.contactor, *found.contactees.values()]
        return [[one.uri for one in choice.ranked] for choice in choices]

    assert order(NOW_MS) == order(NOW_MS + later)


@given(owns.filter(lambda own: any(one.proved for one in own)), identifiers, histories, st.data())
def test_one_more_use_leaves_nobody_further_behind(
    own: list[OwnIdentity],
    theirs: list[ContacteeIdentifier],
    history: History,
    data: st.DataObject,
) -> None:
    mine = data.draw(st.sampled_from([one.uri for one in own if one.proved]))
    at = data.draw(st.sampled_from([one.uri for one in theirs]))
    pairs = {uri: dict(each) for uri, each in history.pairs.items()}
    before = pairs.setdefault(at, {}).get(mine)
    rank = used_again(before and before.rank_ms, NOW_MS)
    pairs[at][mine] = PairUse(rank_ms=rank, last_ms=NOW_MS)
    ben = Contactee(member="ben", identifiers=tuple(theirs))

    def places(with_: History) -> tuple[int, int]:
        chosen = Chosen(contactor=mine)
        one = suggest(own, (ben,), with_, now_ms=NOW_MS).contactor.ranked
        other = suggest(own, (ben,), with_, chosen=chosen, now_ms=NOW_MS).contactees["ben"].ranked
        return [each.uri for each in one].index(mine), [each.uri for each in other].index(at)

    old, new = places(history), places(replace(history, pairs=pairs))
    assert new[0] <= old[0]
    assert new[1] <= old[1]


@given(st.lists(st.integers(0, NOW_MS), min_size=1, max_size=30))
def test_a_rank_is_the_sum_of_its_decayed_uses(at: list[int]) -> None:
    at = sorted(at)
    rank = None
    for one in at:
        rank = used_again(rank, one)
    assert rank is not None
    expected = sum(2 ** ((one - NOW_MS) / HALF_LIFE_MS) for one in at)
    assert math.isclose(weight(rank, NOW_MS), expected, rel_tol=1e-6)
    assert abs(rank - combined(at)) <= len(at)
