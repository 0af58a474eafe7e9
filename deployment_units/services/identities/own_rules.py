"""The one list of rules by which an own identity is found, for new messages, replies to one or
all, and what is sent on: the first rule that speaks wins. Pure.

    1 the message is one's own          the identity that wrote it
    2 the message came to it            To, Cc, X-Original-To, Delivered-To, Envelope-To
    3 a pattern or sub-address          the same headers
    4 the thread                        the identity that wrote last in it
    5 the contactees                    frequency and recency
    6 their organisation                an identity of the same one
    7 the default                       the first one

What a user has chosen of contactees narrows 5 and 6 to it; the others are listened to after that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from deployment_units.services.identities.frequency import combined, weight
from deployment_units.services.identities.identity import (
    ContacteeIdentifier,
    History,
    IdentityReason,
    IdentityRule,
    Mailbox,
    Original,
    OwnIdentity,
    RankedIdentifier,
    same_uri,
)

_HEADERS = (
    ("To", "to"),
    ("Cc", "cc"),
    ("X-Original-To", "x_original_to"),
    ("Delivered-To", "delivered_to"),
    ("Envelope-To", "envelope_to"),
)
_Key = tuple[int, int, int]


class WrittenTo(NamedTuple):
    """Identifiers that speak for own identities: those of contactees that were chosen, and those
    of contactees of which none was."""

    chosen: tuple[ContacteeIdentifier, ...] = ()
    open: tuple[ContacteeIdentifier, ...] = ()


NOBODY = WrittenTo()


def ranked_own(
    own: Sequence[OwnIdentity],
    history: History,
    *,
    original: Original | None = None,
    written_to: WrittenTo = NOBODY,
    now_ms: int,
) -> tuple[RankedIdentifier, ...]:
    """All own identities, the best first, each with what spoke for it. own: the proved ones, the
    default first. now_ms: Unix ms; what is ranked does not depend on it."""
    theirs = original is not None and not is_own_message(original, own)
    found = []
    for place, one in enumerate(own):
        key, reason = _first(one, place, history, original, theirs, written_to, now_ms)
        found.append((key, place, RankedIdentifier(uri=one.uri, why=(reason,))))
    found.sort(key=lambda each: each[:2])
    return tuple(ranked for _, _, ranked in found)


def is_own_message(original: Original, own: Iterable[OwnIdentity]) -> bool:
    """Whether the account wrote it. A mail that is from one own identity to another may be a real
    letter between them; one that says who had blind copies is the sender's own copy."""
    if original.sent:
        return True
    theirs = [one.uri for one in own]
    if not _among(original.sender.uri, theirs):
        return False
    seen = any(_among(one.uri, theirs) for one in (*original.to, *original.cc))
    return bool(original.bcc) or not seen


def received_at(original: Original, one: OwnIdentity) -> str:
    """The address by which a message came to the identity; empty: by none of its own."""
    found = _in_headers(original, one)
    return "" if found is None else found.mailbox.uri


def is_visible(original: Original, own: Iterable[OwnIdentity]) -> bool:
    """Whether everybody can see that the message came to one of these."""
    several = tuple(own)
    return any(
        same_uri(box.uri, one.uri) or _fits(box.uri, one)
        for box in (*original.to, *original.cc)
        for one in several
    )


def _first(
    one: OwnIdentity,
    place: int,
    history: History,
    original: Original | None,
    theirs: bool,
    written_to: WrittenTo,
    now_ms: int,
) -> tuple[_Key, IdentityReason]:
    """The first rule that speaks for an identity, as what is sorted by, and as a reason. theirs:
    somebody else wrote the original."""
    if original is not None:
        if not theirs and same_uri(original.sender.uri, one.uri):
            return (1, 0, 0), _reason(IdentityRule.OWN_MESSAGE, "it wrote the message", one.uri)
        if (found := _in_headers(original, one)) is not None:
            number = 3 if found.by_pattern else 2
            rule = IdentityRule.PATTERN if found.by_pattern else IdentityRule.RECEIVED_AT
            clause = f"the message names it in {found.header}"
            return (number, found.place, 0), _reason(rule, clause, found.mailbox.uri)
    if history.thread and history.thread == one.uri:
        return (4, 0, 0), _reason(IdentityRule.THREAD, "it wrote last in the thread", one.uri)
    for narrow, identifiers in enumerate(written_to):
        if rank := _rank(one.uri, identifiers, history):
            worth = f"{weight(rank, now_ms):.2f}"
            clause = "uses with these contactees, each half as much after 60 days"
            return (5, narrow, -rank), _reason(IdentityRule.CONTACT, clause, worth)
        if one.organisation and any(each.organisation == one.organisation for each in identifiers):
            clause = "the organisation of a contactee is its own"
            reason = _reason(IdentityRule.ORGANISATION, clause, one.organisation)
            return (5, narrow, 1), reason  # behind whatever was used with these
    clause = "the first one" if place == 0 else "one of one's own; nothing else speaks for it"
    return (7, 0, 0), _reason(IdentityRule.DEFAULT, clause, one.uri)


def _rank(own: str, identifiers: Iterable[ContacteeIdentifier], history: History) -> int:
    """0: it was not used with any of them."""
    pairs = history.pairs
    ranks = [
        pairs[each.uri][own].rank_ms
        for each in identifiers
        if each.uri in pairs and own in pairs[each.uri]
    ]
    return max(1, combined(ranks)) if ranks else 0


class _Place(NamedTuple):
    """Where a message names an identity. place: the first header before the second one."""

    place: int
    header: str
    mailbox: Mailbox
    by_pattern: bool


def _in_headers(original: Original, one: OwnIdentity) -> _Place | None:
    """The first place that names it; a pattern only where nothing names it itself."""
    by_pattern = None
    for place, (header, box) in enumerate(_mailboxes(original)):
        if same_uri(box.uri, one.uri):
            return _Place(place, header, box, by_pattern=False)
        if by_pattern is None and _fits(box.uri, one):
            by_pattern = _Place(place, header, box, by_pattern=True)
    return by_pattern


def _mailboxes(original: Original) -> Iterator[tuple[str, Mailbox]]:
    for header, field in _HEADERS:
        for box in getattr(original, field):
            yield header, box


def _fits(uri: str, one: OwnIdentity) -> bool:
    """Whether an address is the identity's by a pattern, or as a sub-address of its own."""
    address = uri.casefold()
    local, at, domain = address.rpartition("@")
    if at and "+" in local and f"{local.partition('+')[0]}@{domain}" == one.uri.casefold():
        return True
    bare = address.removeprefix("mailto:")
    for pattern in one.patterns:
        before, star, behind = pattern.casefold().partition("*")
        if bare == before and not star:
            return True
        if (
            star
            and len(bare) >= len(before) + len(behind)
            and bare.startswith(before)
            and bare.endswith(behind)
        ):
            return True
    return False


def _reason(rule: IdentityRule, clause: str, value: str) -> IdentityReason:
    return IdentityReason(rule=rule, clause=clause, value=value)


def _among(uri: str, several: Iterable[str]) -> bool:
    return any(same_uri(uri, one) for one in several)
