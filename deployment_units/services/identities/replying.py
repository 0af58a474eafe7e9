"""Planning a reply: from whom, to whom, for what is written upon a message. Pure.

A reply goes to who asked for it (Mail-Reply-To, Reply-To, From), one to all also to everybody who
had the message, without one's own identities; upon one's own message it goes on to those whom that
went to. A Reply-To that a mailing list has put there is the list's and not the writer's. Who always
gets a copy of what an identity writes gets it, but where an own message shows that they had it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from deployment_units.services.identities.choosing import suggest
from deployment_units.services.identities.identity import (
    NOTHING_CHOSEN,
    Addresses,
    Chosen,
    Contactee,
    ContacteeIdentifier,
    History,
    IdentityReason,
    Mailbox,
    Original,
    OwnIdentity,
    ReplyMode,
    proved,
    same_uri,
)
from deployment_units.services.identities.leaks import blind_copy_leak
from deployment_units.services.identities.organisations import organisation_of
from deployment_units.services.identities.own_rules import is_own_message, received_at

Boxes = tuple[Mailbox, ...]


def plan_reply(
    mode: ReplyMode,
    original: Original,
    own: Sequence[OwnIdentity],
    history: History,
    *,
    chosen: Chosen = NOTHING_CHOSEN,
    proved_organisations: Collection[str] | None = None,
    now_ms: int,
) -> Addresses:
    """own: the default first. chosen: as whom to write, if that was chosen. proved_organisations:
    see leaks. now_ms: Unix ms."""
    mine = proved(own)
    if is_own_message(original, mine):
        to, cc, bcc, reply_to, why = _upon_own(mode, original)
    else:
        to, cc, why = _upon_theirs(mode, original, mine)
        bcc, reply_to = (), ()
    contactees = [
        Contactee(
            member=box.uri,
            identifiers=(ContacteeIdentifier(uri=box.uri, organisation=organisation_of(box.uri)),),
        )
        for box in _distinct((*to, *cc, *bcc))
    ]
    suggestion = suggest(
        own,
        contactees,
        history,
        chosen=chosen,
        original=original,
        proved_organisations=proved_organisations,
        now_ms=now_ms,
    )
    identity = next((one for one in own if one.uri == suggestion.contactor.uri), None)
    if identity is not None and mode is not ReplyMode.FORWARD:
        cc, bcc = _with_copies(mode, original, identity, mine, (to, cc, bcc))
    at = received_at(original, identity) if identity is not None else ""
    return Addresses(
        contactor=suggestion.contactor,
        to=to,
        cc=cc,
        bcc=bcc,
        reply_to=reply_to,
        received_at="" if identity is None or same_uri(at, identity.uri) else at,
        why=(IdentityReason(rule=mode, clause=why), *suggestion.contactor.why),
        warnings=(*suggestion.warnings, *blind_copy_leak(mode, original, mine)),
    )


def _upon_own(mode: ReplyMode, original: Original) -> tuple[Boxes, Boxes, Boxes, Boxes, str]:
    if mode is ReplyMode.FORWARD:
        return (), (), (), (), "it goes to whom you say"
    if mode is ReplyMode.REPLY_LIST and original.list_post:
        return (Mailbox(uri=original.list_post),), (), (), original.reply_to, "the mailing list"
    why = "it follows your own message, to those whom that went to"
    if mode is ReplyMode.REPLY:
        return original.to, (), (), original.reply_to, why
    return original.to, original.cc, original.bcc, original.reply_to, why


def _upon_theirs(
    mode: ReplyMode, original: Original, mine: Sequence[OwnIdentity]
) -> tuple[Boxes, Boxes, str]:
    if mode is ReplyMode.FORWARD:
        return (), (), "it goes to whom you say"
    if mode is ReplyMode.REPLY_LIST and original.list_post:
        return (Mailbox(uri=original.list_post),), (), "the mailing list"
    by_list = any(same_uri(box.uri, original.list_post) for box in original.reply_to)
    if mode is not ReplyMode.REPLY_ALL:
        if original.mail_reply_to:
            return original.mail_reply_to, (), "where its writer asks for answers: Mail-Reply-To"
        if original.reply_to and not by_list:
            return original.reply_to, (), "where its writer asks for answers: Reply-To"
        return (original.sender,), (), "its writer"
    if original.mail_followup_to:
        return original.mail_followup_to, (), "where its writer asks for more: Mail-Followup-To"
    writer = original.reply_to or (original.sender,)
    whole = (*writer, *original.to, *((original.sender,) if by_list else ()))
    to = _without(_distinct(whole), mine)
    cc = _without(_beyond(original.cc, to), mine)
    if not (to or cc):
        to = writer
    return to, cc, "its writer and everybody who had it, but yourself"


def _with_copies(
    mode: ReplyMode,
    original: Original,
    identity: OwnIdentity,
    mine: Sequence[OwnIdentity],
    addressed: tuple[Boxes, Boxes, Boxes],
) -> tuple[Boxes, Boxes]:
    """Cc and Bcc with who always gets a copy."""
    to, cc, bcc = addressed
    if mode is ReplyMode.REPLY_ALL and is_own_message(original, mine) and original.bcc:
        return cc, bcc  # its own copy: they are in it
    cc = (*cc, *_beyond(identity.copies, (*to, *cc)))
    return cc, (*bcc, *_beyond(identity.blind_copies, (*to, *cc, *bcc)))


def _distinct(boxes: Iterable[Mailbox]) -> Boxes:
    """Each identifier once, as it stands first."""
    found: dict[str, Mailbox] = {}
    for box in boxes:
        found.setdefault(box.uri.casefold(), box)
    return tuple(found.values())


def _beyond(boxes: Iterable[Mailbox], there: Sequence[Mailbox]) -> Boxes:
    known = {box.uri.casefold() for box in there}
    return tuple(box for box in _distinct(boxes) if box.uri.casefold() not in known)


def _without(boxes: Iterable[Mailbox], mine: Sequence[OwnIdentity]) -> Boxes:
    own = {one.uri.casefold() for one in mine}
    return tuple(box for box in boxes if box.uri.casefold() not in own)
