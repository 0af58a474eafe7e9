"""Leaks: found where they were planted, and none where a message shows nobody anything new."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.identities.identity import (
    History,
    LeakRule,
    Mailbox,
    Original,
    OwnIdentity,
    PairUse,
    ReplyMode,
)
from deployment_units.services.identities.leaks import blind_copy_leak, leaks
from deployment_units.services.identities.replying import plan_reply

WORK, PRIVATE, HANDLE = "mailto:anna@northwind.example", "mailto:anna@mail.example", "@anna"
OWN = (WORK, PRIVATE, HANDLE)
BEN, CARLA, EVE = "mailto:ben@contoso.example", "mailto:carla@mail.example", "@eve"
COLLEAGUE = "mailto:dora@northwind.example"
OF = {
    WORK: "northwind.example",
    COLLEAGUE: "northwind.example",
    BEN: "contoso.example",
}
USE = PairUse(rank_ms=1, last_ms=1)


def known(*pairs: tuple[str, str]) -> History:
    found: dict[str, dict[str, PairUse]] = {}
    for theirs, own in pairs:
        found.setdefault(theirs, {})[own] = USE
    return History(pairs=found)


PLANTED = [
    pytest.param(
        PRIVATE, [BEN], known((BEN, WORK)), {LeakRule.UNKNOWN_IDENTITY},
        id="they-know-another-identity",
    ),
    pytest.param(
        PRIVATE, [BEN, CARLA], known((BEN, WORK), (CARLA, PRIVATE)), {LeakRule.UNKNOWN_IDENTITY},
        id="one-organisation-knows-another-identity",
    ),
    pytest.param(
        WORK, [CARLA, EVE], known(), {LeakRule.ORGANISATION_OUTSIDE}, id="an-organisations-outside"
    ),
    pytest.param(
        WORK, [CARLA], known((CARLA, PRIVATE)),
        {LeakRule.UNKNOWN_IDENTITY, LeakRule.ORGANISATION_OUTSIDE}, id="two-at-once",
    ),
    pytest.param(
        HANDLE, [CARLA, PRIVATE], known((CARLA, HANDLE)), {LeakRule.OWN_RECIPIENT},
        id="another-own-identity-among-the-recipients",
    ),
]  # fmt: skip
CLEAN = [
    pytest.param(WORK, [BEN], known((BEN, WORK)), id="they-know-it"),
    pytest.param(WORK, [BEN, CARLA], known((BEN, WORK), (CARLA, WORK)), id="all-know-it"),
    pytest.param(WORK, [COLLEAGUE, CARLA], known(), id="some-are-of-the-organisation"),
    pytest.param(PRIVATE, [CARLA], known(), id="they-know-nothing-yet"),
    pytest.param(HANDLE, [EVE, BEN], known((EVE, HANDLE)), id="one-knows-it-others-nothing"),
    pytest.param(WORK, [WORK], known(), id="to-oneself"),
    pytest.param(HANDLE, [], known(), id="to-nobody-yet"),
]


@pytest.mark.parametrize(("contactor", "recipients", "history", "expected"), PLANTED)
def test_what_was_planted_is_found(contactor, recipients, history, expected) -> None:
    found = leaks(contactor, recipients, history, OF, own=OWN)
    assert {one.rule for one in found} == expected
    assert all(one.text and one.about for one in found)


@pytest.mark.parametrize(("contactor", "recipients", "history"), CLEAN)
def test_what_shows_nothing_new_has_no_warning(contactor, recipients, history) -> None:
    assert leaks(contactor, recipients, history, OF, own=OWN) == ()


BLIND = Original(
    sender=Mailbox(uri=BEN), to=(Mailbox(uri=CARLA),), delivered_to=(Mailbox(uri=WORK),)
)
MINE = [OwnIdentity(uri=one) for one in OWN]


@pytest.mark.parametrize(
    ("mode", "changes", "leaks_"),
    [
        pytest.param(ReplyMode.REPLY_ALL, {}, True, id="a-blind-copy-answered-to-all"),
        pytest.param(ReplyMode.REPLY, {}, False, id="a-blind-copy-answered-to-its-writer"),
        pytest.param(
            ReplyMode.REPLY_ALL, {"cc": (Mailbox(uri=PRIVATE),)}, False, id="a-copy-that-all-see"
        ),
        pytest.param(
            ReplyMode.REPLY_ALL, {"list_post": "mailto:list@x.example"}, False, id="by-a-list"
        ),
        pytest.param(ReplyMode.REPLY_ALL, {"sent": True}, False, id="ones-own"),
        pytest.param(ReplyMode.REPLY_ALL, {"to": ()}, False, id="to-nobody-that-is-named"),
    ],
)
def test_a_reply_to_all_that_shows_a_blind_copy(mode, changes, leaks_) -> None:
    original = Original(
        **{"sender": BLIND.sender, "to": BLIND.to, "delivered_to": BLIND.delivered_to} | changes
    )
    found = blind_copy_leak(mode, original, MINE)
    assert [one.rule for one in found] == ([LeakRule.BLIND_COPY] if leaks_ else [])
    planned = plan_reply(mode, original, MINE, known(), now_ms=0)
    assert (LeakRule.BLIND_COPY in {one.rule for one in planned.warnings}) is leaks_


@given(
    st.sampled_from(OWN),
    st.lists(st.sampled_from([BEN, CARLA, EVE, COLLEAGUE]), min_size=1, unique=True),
    st.sets(st.tuples(st.sampled_from([BEN, CARLA, EVE]), st.sampled_from(OWN))),
)
def test_who_is_known_to_every_recipient_as_what_they_write_leaks_nothing(
    contactor: str, recipients: list[str], pairs: set[tuple[str, str]]
) -> None:
    history = known(*sorted(pairs), *((one, contactor) for one in recipients))
    assert leaks(contactor, recipients, history, OF, own=OWN) == ()
