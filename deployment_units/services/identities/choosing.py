"""Suggesting: as whom to write, and at which identifier of each contactee. Pure.

What the user has chosen stays as it is, and each choice ranks the other side anew: an own identity
that was chosen ranks what contactees have by whether it reaches them, whether they know it there,
and whether it is of one organisation with them; an identifier that was chosen of a contactee ranks
the own identities (see own_rules).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from deployment_units.services.identities.frequency import combined, weight
from deployment_units.services.identities.identity import (
    CHOSEN_RULE,
    NOTHING_CHOSEN,
    Choice,
    Chosen,
    Contactee,
    ContacteeIdentifier,
    ContacteeRule,
    History,
    IdentityReason,
    IdentityWarning,
    LeakRule,
    Original,
    OwnIdentity,
    RankedIdentifier,
    Suggestion,
    proved,
)
from deployment_units.services.identities.leaks import leaks
from deployment_units.services.identities.own_rules import WrittenTo, ranked_own

_ADDRESSED = ("mailto:", "tel:", "sip:", "sips:", "xmpp:")
_TELEPHONES = frozenset({"tel:", "sip:", "sips:"})
_CHOICE = IdentityReason(rule=CHOSEN_RULE, clause="it was chosen")


def suggest(
    own: Sequence[OwnIdentity],
    contactees: Sequence[Contactee],
    history: History,
    *,
    chosen: Chosen = NOTHING_CHOSEN,
    original: Original | None = None,
    proved_organisations: Collection[str] | None = None,
    now_ms: int,
) -> Suggestion:
    """own: the contactor's identities, the default first. original: the message upon which this
    one is written. proved_organisations: see leaks. now_ms: Unix ms; reasons say weights as of
    then."""
    mine = proved(own)
    ranked = ranked_own(
        mine, history, original=original, written_to=_written_to(contactees, chosen), now_ms=now_ms
    )
    contactor = _choice(ranked, chosen.contactor)
    identity = next((one for one in own if one.uri == contactor.uri), None)
    to = {
        one.member: _choice(
            _ranked_theirs(one, identity, history, now_ms),
            chosen.contactees.get(one.member, ""),
        )
        for one in contactees
    }
    return Suggestion(
        contactor=contactor,
        contactees=to,
        warnings=_warnings(mine, contactees, history, contactor, to, proved_organisations),
    )


def reaches(own: str, theirs: str) -> bool:
    """Whether what one identifier writes comes to the other as from it: between addresses of one
    kind, and wherever one of both is a handle or an account, which every channel carries."""
    one, other = _kind(own), _kind(theirs)
    return not one or not other or one == other or {one, other} <= _TELEPHONES


def _kind(uri: str) -> str:
    """Its scheme; empty: a handle or an account."""
    return next((one for one in _ADDRESSED if uri.startswith(one)), "")


def _choice(ranked: tuple[RankedIdentifier, ...], chosen: str) -> Choice:
    if chosen:
        return Choice(uri=chosen, ranked=ranked, why=(_CHOICE,), chosen=True)
    if not ranked:
        nothing = IdentityReason(rule=CHOSEN_RULE, clause="there is nothing to choose from")
        return Choice(uri="", ranked=(), why=(nothing,))
    return Choice(uri=ranked[0].uri, ranked=ranked, why=ranked[0].why)


def _written_to(contactees: Sequence[Contactee], chosen: Chosen) -> WrittenTo:
    narrow: list[ContacteeIdentifier] = []
    wide: list[ContacteeIdentifier] = []
    for contactee in contactees:
        picked = chosen.contactees.get(contactee.member)
        if picked:
            narrow += [one for one in contactee.identifiers if one.uri == picked]
        else:
            wide += contactee.identifiers
    return WrittenTo(tuple(narrow), tuple(wide))


def _ranked_theirs(
    contactee: Contactee, own: OwnIdentity | None, history: History, now_ms: int
) -> tuple[RankedIdentifier, ...]:
    """All that a contactee has, the best first for an own identity; None: there is none yet."""
    found = []
    for place, one in enumerate(contactee.identifiers):
        used = history.pairs.get(one.uri, {})
        with_own = used[own.uri].rank_ms if own is not None and own.uri in used else None
        with_any = combined(each.rank_ms for each in used.values()) if used else None
        reached = one.reachable and (own is None or reaches(own.uri, one.uri))
        shared = own is not None and bool(one.organisation)
        shared = shared and own is not None and one.organisation == own.organisation
        why = []
        if not reached:
            text = "cannot be reached" if own is None else f"cannot be reached from {own.uri}"
            why.append(_reason(ContacteeRule.REACH, text, one.uri))
        if own is not None and with_own is not None:
            why.append(_reason(ContacteeRule.KNOWN, f"they know {own.uri} there", one.uri))
        elif own is not None and used:
            where = one.organisation or one.uri
            text = f"nobody at {where} has seen {own.uri}"
            why.append(_reason(ContacteeRule.KNOWN, text, one.uri))
        if shared:
            text = "in the organisation of both"
            why.append(_reason(ContacteeRule.ORGANISATION, text, one.organisation))
        if with_any is not None:
            worth = f"{weight(with_any, now_ms):.2f}"
            text = "uses, each half as much after 60 days"
            why.append(_reason(ContacteeRule.CONTACT, text, worth))
        why = why or [_reason(ContacteeRule.LISTED, "one of theirs", one.uri)]
        key = (not reached, with_own is None, not shared, -(with_own or 0), -(with_any or 0), place)
        found.append((key, RankedIdentifier(uri=one.uri, why=tuple(why))))
    found.sort(key=lambda each: each[0])
    return tuple(ranked for _, ranked in found)


def _warnings(
    own: Sequence[OwnIdentity],
    contactees: Sequence[Contactee],
    history: History,
    contactor: Choice,
    to: dict[str, Choice],
    proved_organisations: Collection[str] | None,
) -> tuple[IdentityWarning, ...]:
    organisations = {one.uri: one.organisation for one in own}
    for contactee in contactees:
        organisations |= {one.uri: one.organisation for one in contactee.identifiers}
    recipients = [one.uri for one in to.values() if one.uri]
    if not contactor.uri:
        return ()
    unreached = tuple(
        IdentityWarning(
            rule=LeakRule.UNREACHED,
            about=uri,
            text=f"{uri} is not reached from {contactor.uri}; it is told of another identifier",
        )
        for uri in recipients
        if not reaches(contactor.uri, uri)
    )
    mine = [one.uri for one in own]
    return unreached + leaks(
        contactor.uri,
        recipients,
        history,
        organisations,
        own=mine,
        proved_organisations=proved_organisations,
    )


def _reason(rule: ContacteeRule, clause: str, value: str) -> IdentityReason:
    return IdentityReason(rule=rule, clause=clause, value=value)
