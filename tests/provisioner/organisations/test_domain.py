"""What becomes of a domain as DNS is asked again: rows of days, and what holds of any."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.organisations.domain import (
    DAY_MS,
    HOUR_MS,
    LAPSE_MS,
    MISSES,
    MISSES_OVER_MS,
    TAKE_OVER_MS,
    Domain,
    DomainState,
    Observation,
    Observations,
    domain_proved,
    domain_step,
)

NOW = 1_800_000_000_000
LETTERS = {"F": Observation.FOUND, "M": Observation.MISSING, "?": Observation.UNKNOWN}
VERIFIED = domain_proved(None, "contoso", "t", True, NOW)
CONTESTED = domain_proved(VERIFIED, "fabrikam", "u", True, NOW)


def after(domain: Domain, days: str, *, every_ms: int = DAY_MS) -> Domain:
    """The domain after these days: of the owner's record a letter each; of the rival's a second,
    if there is one, behind a slash."""
    owners, _, rivals = days.partition("/")
    for place, letter in enumerate(owners):
        rival = LETTERS[rivals[place]] if rivals else Observation.UNKNOWN
        seen = Observations(owner=LETTERS[letter], rival=rival)
        domain = domain_step(domain, seen, NOW + (place + 1) * every_ms)
    return domain


@pytest.mark.parametrize(
    ("days", "state"),
    [
        pytest.param("", "verified", id="just proved"),
        pytest.param("MM", "verified", id="two misses"),
        pytest.param("MMM", "verified", id="three misses within 48 hours"),
        pytest.param("MMMM", "lapsing", id="misses over 72 hours"),
        pytest.param("M??M", "verified", id="two misses over 72 hours"),
        pytest.param("MMMM" + "F", "verified", id="found again"),
        pytest.param("MMFMMM", "verified", id="found between: counted anew"),
        pytest.param("MM??M", "lapsing", id="what could not be asked changes nothing"),
        pytest.param("?" * 40, "verified", id="DNS away for forty days"),
        pytest.param("MMMM" + "M" * 6, "lapsing", id="lapsing for six days"),
        pytest.param("MMMM" + "M" * 7, "lapsed", id="lapsing for seven days"),
        pytest.param("MMMM" + "?" * 30, "lapsing", id="it lapses by an answer alone"),
        pytest.param("MMMM" + "?" * 30 + "M", "lapsed", id="however long none came"),
        pytest.param("M" * 12 + "F", "verified", id="found again after it had lapsed"),
    ],
)
def test_an_owners_record_over_days(days, state):
    assert after(VERIFIED, days).state == state


@pytest.mark.parametrize(
    ("days", "owner", "state"),
    [
        pytest.param("FFFF/FFFF", "contoso", "contested", id="while the old record is there"),
        pytest.param("M/F", "contoso", "contested", id="gone today"),
        pytest.param("MM/FF", "fabrikam", "verified", id="gone for a day"),
        pytest.param("MFM/FFF", "contoso", "contested", id="back between"),
        pytest.param("?????/FFFFF", "contoso", "contested", id="the old one cannot be asked for"),
        pytest.param("M?M/FFF", "fabrikam", "verified", id="a fault between"),
        pytest.param("MM/F?", "contoso", "contested", id="the new one cannot be asked for"),
        pytest.param("MM/FM", "contoso", "verified", id="the new one is gone"),
    ],
)
def test_a_domain_that_two_prove(days, owner, state):
    found = after(CONTESTED, days)
    assert (found.owner, found.state) == (owner, state)


def test_a_take_over_brings_what_the_new_owner_asked_for():
    """What the former owner said of its sub-domains is over with it."""
    theirs = domain_proved(VERIFIED, "fabrikam", "u", False, NOW)
    assert theirs.covers_subdomains  # as yet it is Contoso's
    taken = after(theirs, "MMM/FFF")
    assert (taken.owner, taken.covers_subdomains) == ("fabrikam", False)


def test_a_take_over_leaves_whose_invitations_they_are_to_the_new_owner():
    found = after(msgspec.structs.replace(CONTESTED, primary="contoso"), "MM/FF")
    assert (found.owner, found.primary, found.rival) == ("fabrikam", "", None)


def test_a_contest_within_the_day_after_the_record_went_waits_for_its_own_day():
    gone = after(VERIFIED, "MMMMMM")
    contested = domain_proved(gone, "fabrikam", "u", True, NOW + 6 * DAY_MS)
    seen = Observations(owner=Observation.MISSING, rival=Observation.FOUND)
    soon = domain_step(contested, seen, NOW + 6 * DAY_MS + TAKE_OVER_MS - 1)
    assert soon.owner == "contoso"
    assert domain_step(soon, seen, NOW + 7 * DAY_MS).owner == "fabrikam"


def test_a_third_is_no_rival_while_there_is_one():
    third = domain_proved(CONTESTED, "northwind", "v", True, NOW + 1)
    assert third == CONTESTED


def test_proving_again_keeps_the_beginning_of_a_contest():
    again = domain_proved(CONTESTED, "fabrikam", "w", True, NOW + HOUR_MS)
    assert again.rival is not None
    assert (again.rival.since_ms, again.rival.token) == (NOW, "w")


SEEN = st.lists(
    st.tuples(
        st.sampled_from(list(Observation)),
        st.sampled_from(list(Observation)),
        st.integers(min_value=1, max_value=3 * DAY_MS),
    ),
    max_size=40,
)


@given(seen=SEEN)
def test_a_domain_lapses_by_misses_alone_and_after_ten_days(seen):
    domain, now, misses = VERIFIED, NOW, 0
    for owner, _, later_ms in seen:
        now += later_ms
        before, domain = domain, domain_step(domain, Observations(owner=owner), now)
        misses = {Observation.FOUND: 0, Observation.MISSING: misses + 1}.get(owner, misses)
        if owner is Observation.UNKNOWN:
            assert domain == msgspec.structs.replace(before, checked_ms=now)
        if domain.proof is not before.proof and owner is not Observation.FOUND:
            assert owner is Observation.MISSING
            assert misses >= MISSES
            assert now - domain.missing_ms >= MISSES_OVER_MS
        if domain.proof is DomainState.LAPSED:
            assert now - domain.missing_ms >= MISSES_OVER_MS + LAPSE_MS
        assert domain.failures == misses


@given(seen=SEEN)
def test_nobody_takes_over_what_is_found(seen):
    """Whoever takes over proved it for a day in which the old record was never found."""
    domain, now, gone_ms = CONTESTED, NOW, 0
    for owner, rival, later_ms in seen:
        now += later_ms
        gone_ms = {Observation.FOUND: 0, Observation.MISSING: gone_ms or now}.get(owner, gone_ms)
        domain = domain_step(domain, Observations(owner=owner, rival=rival), now)
        if domain.owner == "fabrikam":
            assert (owner, rival) == (Observation.MISSING, Observation.FOUND)
            assert now - gone_ms >= TAKE_OVER_MS
            return
        if domain.rival is None:
            return
