"""Who sees what of a profile, and that what is hidden looks like what is not there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identifiers.identifier import IdentifierKind
from deployment_units.services.profiles.disclosure import disclose
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

OWNER = Viewer(account="anna", relation=Relation.OWNER)
FRIEND = Viewer(account="ben", relation=Relation.CONTACT)
STRANGER = Viewer(account="carla")
NAMELESS = Viewer()
NAMED = Audience(accounts=frozenset({"carla"}))


@pytest.mark.parametrize(
    ("audience", "seen_by"),
    [
        pytest.param(NOBODY, {OWNER}, id="nobody"),
        pytest.param(EVERYONE, {OWNER, FRIEND, STRANGER, NAMELESS}, id="everyone"),
        pytest.param(CONTACTS, {OWNER, FRIEND}, id="contacts"),
        pytest.param(NAMED, {OWNER, STRANGER}, id="one-by-name"),
        pytest.param(
            Audience(contacts=True, accounts=frozenset({"carla"})),
            {OWNER, FRIEND, STRANGER},
            id="contacts-and-one-by-name",
        ),
        pytest.param(Audience(accounts=frozenset({""})), {OWNER}, id="no-name-is-nobody's"),
    ],
)
def test_an_identifier_is_seen_by(audience: Audience, seen_by: set[Viewer]) -> None:
    one = ProfileIdentifier(kind=IdentifierKind.EMAIL, uri="mailto:a@b.example")
    profile = Profile(account="anna", identifiers=(replace(one, disclosed_to=audience),))
    viewers = {OWNER, FRIEND, STRANGER, NAMELESS}
    assert {one for one in viewers if disclose(profile, one).identifiers} == seen_by


audiences = st.builds(
    Audience,
    everyone=st.booleans(),
    contacts=st.booleans(),
    accounts=st.frozensets(st.sampled_from(["ben", "carla", "dev"]), max_size=3),
)
identifiers = st.builds(
    ProfileIdentifier,
    kind=st.sampled_from([IdentifierKind.EMAIL, IdentifierKind.PHONE, IdentifierKind.XMPP]),
    uri=st.text(min_size=1, max_size=8),
    proved=st.booleans(),
    disclosed_to=audiences,
)
profiles = st.builds(
    Profile,
    account=st.just("anna"),
    name=st.text(max_size=5),
    identifiers=st.lists(identifiers, max_size=6, unique_by=lambda one: one.uri).map(tuple),
    preferred=st.lists(st.sampled_from(list(Mode)), max_size=4, unique=True).map(tuple),
    open_to=st.dictionaries(st.sampled_from(list(Mode)), audiences),
)
viewers = st.builds(
    Viewer,
    account=st.sampled_from(["", "ben", "carla", "dev"]),
    relation=st.sampled_from([Relation.CONTACT, Relation.STRANGER]),
)


@given(profiles, viewers)
def test_what_is_hidden_from_a_viewer_does_not_show_in_what_the_viewer_sees(
    profile: Profile, viewer: Viewer
) -> None:
    shown = tuple(one for one in profile.identifiers if viewer.is_in(one.disclosed_to))
    hidden = [one for one in profile.identifiers if one not in shown]
    card = disclose(profile, viewer)
    assert card.identifiers == shown
    unproved = tuple(replace(one, proved=False) for one in hidden)
    kept = replace(profile, identifiers=tuple(one for one in profile.identifiers if one in shown))
    changed = replace(kept, identifiers=kept.identifiers + unproved)
    assert disclose(changed, viewer) == disclose(kept, viewer)


@given(profiles, viewers)
def test_a_contact_sees_no_less_than_a_stranger_of_the_same_name(
    profile: Profile, viewer: Viewer
) -> None:
    near = disclose(profile, replace(viewer, relation=Relation.CONTACT))
    far = disclose(profile, replace(viewer, relation=Relation.STRANGER))
    assert set(far.identifiers) <= set(near.identifiers)
    assert set(far.modes) <= set(near.modes)
