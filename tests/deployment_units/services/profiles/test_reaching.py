"""By which mode a viewer reaches an account: what is asked, what the viewer wishes, what the owner
does; and that nobody is reached whom the owner did not let in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identifiers.identifier import IdentifierKind
from deployment_units.services.profiles.profile import (
    CONTACTS,
    EVERYONE,
    NOBODY,
    Audience,
    Mode,
    Profile,
    ProfileIdentifier,
    Relation,
    Viewer,
)
from deployment_units.services.profiles.reaching import NotReachable, Reached, reach

MAIL = ProfileIdentifier(kind=IdentifierKind.EMAIL, uri="mailto:a@b.example", proved=True)
PHONE = ProfileIdentifier(kind=IdentifierKind.PHONE, uri="tel:+442079460301", proved=True)
SIP = ProfileIdentifier(kind=IdentifierKind.SIP, uri="sip:a@b.example", proved=True)
CLAIMED = ProfileIdentifier(kind=IdentifierKind.EMAIL, uri="mailto:ceo@b.example")
FRIEND = Viewer(account="ben", relation=Relation.CONTACT)
STRANGER = Viewer(account="carla")
CLOSED = dict.fromkeys(Mode, NOBODY)
OPEN = dict.fromkeys(Mode, EVERYONE)


def anna(*identifiers, preferred=(), open_to=None) -> Profile:
    return Profile(
        account="anna", identifiers=identifiers, preferred=preferred, open_to=open_to or {}
    )


ALL = (MAIL, SIP, PHONE)


@pytest.mark.parametrize(
    ("profile", "viewer", "asked", "wished", "expected"),
    [
        pytest.param(anna(*ALL), FRIEND, Mode.MAIL, (), (Mode.MAIL, MAIL), id="what-is-asked"),
        pytest.param(
            anna(*ALL), STRANGER, Mode.MAIL, (), (Mode.IN_APP, None), id="asked-and-not-open"
        ),
        pytest.param(
            anna(*ALL), FRIEND, None, (Mode.TEXT, Mode.MAIL), (Mode.TEXT, PHONE), id="viewer's-wish"
        ),
        pytest.param(
            anna(*ALL, open_to={Mode.TEXT: NOBODY}), FRIEND, None, (Mode.TEXT, Mode.MAIL),
            (Mode.MAIL, MAIL), id="viewer's-second-where-the-owner-objects-to-the-first",
        ),
        pytest.param(
            anna(*ALL, preferred=(Mode.TELEPHONE,)), FRIEND, None, (),
            (Mode.TELEPHONE, PHONE), id="owner's-wish",
        ),
        pytest.param(
            anna(SIP, preferred=(Mode.TELEPHONE,)), FRIEND, None, (),
            (Mode.TELEPHONE, SIP), id="the-telephone-at-a-sip-address",
        ),
        pytest.param(
            anna(CLAIMED, open_to=OPEN), FRIEND, Mode.MAIL, (),
            (Mode.IN_APP, None), id="what-nobody-proved-reaches-nobody",
        ),
        pytest.param(
            anna(*ALL, open_to=CLOSED), FRIEND, Mode.MAIL, (Mode.TEXT,), None, id="closed"
        ),
        pytest.param(
            anna(*ALL, open_to={**CLOSED, Mode.MAIL: Audience(accounts=frozenset({"carla"}))}),
            STRANGER, None, (), (Mode.MAIL, MAIL), id="open-to-one-by-name",
        ),
        pytest.param(anna(), STRANGER, None, (), (Mode.IN_APP, None), id="nothing-set"),
    ],
)  # fmt: skip
def test_reached_by(profile, viewer, asked, wished, expected) -> None:
    found = reach(profile, viewer, asked=asked, wished=wished)
    if expected is None:
        assert isinstance(found, NotReachable)
    else:
        assert isinstance(found, Reached)
        assert (found.mode, found.identifier) == expected


def test_each_mode_says_who_named_it_and_what_came_of_it() -> None:
    profile = anna(CLAIMED, open_to={Mode.IN_APP: NOBODY, Mode.MAIL: CONTACTS})
    found = reach(profile, STRANGER, asked=Mode.IN_APP, wished=(Mode.TEXT, Mode.IN_APP))
    assert isinstance(found, NotReachable)
    assert [(one.rule, one.clause, one.value) for one in found.why] == [
        ("asked", "not open to this viewer", "in-app"),
        ("viewer", "not open to this viewer", "text"),
        ("owner", "not open to this viewer", "mail"),
        ("owner", "not open to this viewer", "telephone"),
    ]


audiences = st.sampled_from([NOBODY, EVERYONE, CONTACTS, Audience(accounts=frozenset({"carla"}))])


@given(
    st.sets(st.sampled_from([MAIL, PHONE, SIP, CLAIMED])),
    st.dictionaries(st.sampled_from(list(Mode)), audiences),
    st.lists(st.sampled_from(list(Mode)), unique=True),
    st.sampled_from([FRIEND, STRANGER, Viewer()]),
    st.none() | st.sampled_from(list(Mode)),
    st.lists(st.sampled_from(list(Mode)), unique=True),
)
def test_nobody_is_reached_but_as_the_owner_lets_them(
    identifiers, open_to, preferred, viewer, asked, wished
) -> None:
    profile = anna(*identifiers, preferred=tuple(preferred), open_to=open_to)
    found = reach(profile, viewer, asked=asked, wished=wished)
    modes = [one.value for one in found.why]
    assert len(set(modes)) == len(modes)
    if isinstance(found, NotReachable):
        assert set(modes) == set(Mode)
    else:
        assert viewer.is_in(profile.may_reach(found.mode))
        assert found.identifier is None or found.identifier.proved
        assert (found.identifier is None) is (found.mode is Mode.IN_APP)
