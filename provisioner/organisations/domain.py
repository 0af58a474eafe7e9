"""Domain: that an organisation controls a domain, and what becomes of that as DNS is asked again.

`domain_step` takes what name servers said and gives the domain as it is then. Only an answer counts
against it: three misses over 72 hours and it is lapsing, seven days later it has lapsed; what could
not be asked changes nothing. Somebody else's proof takes nothing away while the old record is
there: the domain is contested, and theirs once the old record was gone for a day. Pure; times are
Unix ms.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MISSES = 3
MISSES_OVER_MS = 72 * HOUR_MS
LAPSE_MS = 7 * DAY_MS
TAKE_OVER_MS = DAY_MS


class DomainState(StrEnum):
    """What a domain is to its organisation."""

    PENDING = "pending"  # asked for, not proved
    VERIFIED = "verified"
    LAPSING = "lapsing"  # its record is missing
    LAPSED = "lapsed"  # and was for long: nothing is routed by it
    CONTESTED = "contested"  # another organisation has proved it as well


class Observation(StrEnum):
    """What came of looking for a record."""

    FOUND = "found"
    MISSING = "missing"  # the domain's name servers say that it is not there
    UNKNOWN = "unknown"  # they could not be asked, or did not say


class Rival(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Another organisation that has proved a domain. token: of its record; covers_subdomains: as it
    asked for the domain."""

    organisation: str
    token: str
    since_ms: int
    covers_subdomains: bool = True


class DomainOffer(msgspec.Struct, frozen=True, kw_only=True):
    """The owner gives the domain to another organisation, which may accept it until then."""

    to: str
    until_ms: int


class Domain(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One that was proved, as stored. owner, primary: organisations; primary is the one that
    invitations to its addresses belong to, empty: none. proof: verified, lapsing or lapsed, also
    while it is contested. failures: misses one after the other."""

    owner: str
    token: str
    primary: str = ""
    covers_subdomains: bool = True
    proof: DomainState = DomainState.VERIFIED
    verified_ms: int = 0  # when its record was found last
    checked_ms: int = 0  # when it was asked for last, whatever was said
    failures: int = 0
    missing_ms: int = 0  # the first of these misses
    lapsing_ms: int = 0  # since when it is lapsing
    rival: Rival | None = None
    offer: DomainOffer | None = None

    @property
    def state(self) -> DomainState:
        return self.proof if self.rival is None else DomainState.CONTESTED

    @property
    def routes(self) -> bool:
        """Whether invitations are routed by it."""
        return self.proof is not DomainState.LAPSED


class Observations(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a domain: of its owner's record, and of its rival's."""

    owner: Observation
    rival: Observation = Observation.UNKNOWN


def domain_proved(
    domain: Domain | None, organisation: str, token: str, covers_subdomains: bool, now_ms: int
) -> Domain:
    """The domain once this organisation's record with this token was found. What somebody else
    has is contested by it, and nothing else changes; only the first of others is a rival."""
    fresh = Domain(
        owner=organisation, token=token, covers_subdomains=covers_subdomains,
        verified_ms=now_ms, checked_ms=now_ms,
    )  # fmt: skip
    if domain is None:
        return fresh
    if domain.owner == organisation:
        found = domain_step(domain, Observations(owner=Observation.FOUND), now_ms)
        return msgspec.structs.replace(found, token=token, covers_subdomains=covers_subdomains)
    if domain.rival is not None and domain.rival.organisation != organisation:
        return domain
    since_ms = now_ms if domain.rival is None else domain.rival.since_ms
    rival = Rival(
        organisation=organisation, token=token, since_ms=since_ms,
        covers_subdomains=covers_subdomains,
    )  # fmt: skip
    return msgspec.structs.replace(domain, rival=rival)


def domain_step(domain: Domain, observations: Observations, now_ms: int) -> Domain:
    """The domain after it was looked at."""
    owner = observations.owner
    checked = msgspec.structs.replace(domain, checked_ms=now_ms)
    if owner is Observation.FOUND:
        checked = _found(checked, now_ms)
    elif owner is Observation.MISSING:
        checked = _missed(checked, now_ms)
    if domain.rival is None:
        return checked
    if observations.rival is Observation.MISSING:
        return msgspec.structs.replace(checked, rival=None)
    theirs = observations.rival is Observation.FOUND and owner is Observation.MISSING
    if theirs and now_ms - max(checked.missing_ms, domain.rival.since_ms) >= TAKE_OVER_MS:
        return _taken_over(domain.rival, now_ms)
    return checked


def _found(domain: Domain, now_ms: int) -> Domain:
    return msgspec.structs.replace(
        domain, proof=DomainState.VERIFIED, verified_ms=now_ms, failures=0, missing_ms=0,
        lapsing_ms=0,
    )  # fmt: skip


def _missed(domain: Domain, now_ms: int) -> Domain:
    missing_ms = domain.missing_ms or now_ms
    missed = msgspec.structs.replace(domain, failures=domain.failures + 1, missing_ms=missing_ms)
    if domain.proof is DomainState.LAPSING and now_ms - domain.lapsing_ms >= LAPSE_MS:
        return msgspec.structs.replace(missed, proof=DomainState.LAPSED)
    long = missed.failures >= MISSES and now_ms - missing_ms >= MISSES_OVER_MS
    if domain.proof is DomainState.VERIFIED and long:
        return msgspec.structs.replace(missed, proof=DomainState.LAPSING, lapsing_ms=now_ms)
    return missed


def _taken_over(rival: Rival, now_ms: int) -> Domain:
    """Whose invitations they are, the new owner says: nobody guesses it."""
    return Domain(
        owner=rival.organisation,
        token=rival.token,
        covers_subdomains=rival.covers_subdomains,
        verified_ms=now_ms,
        checked_ms=now_ms,
    )
