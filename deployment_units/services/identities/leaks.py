"""Leaks: what a message would show that its writer may not want shown. Pure.

Warnings alone: nothing is held back or changed for them, and a message that shows nobody anything
new has none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from deployment_units.services.identities.identity import (
    History,
    IdentityWarning,
    LeakRule,
    Original,
    OwnIdentity,
    ReplyMode,
    same_uri,
)
from deployment_units.services.identities.own_rules import is_own_message, is_visible


def leaks(
    contactor: str,
    recipients: Sequence[str],
    history: History,
    organisations: Mapping[str, str],
    *,
    own: Iterable[str],
    proved_organisations: Collection[str] | None = None,
) -> tuple[IdentityWarning, ...]:
    """What a message from `contactor` shows. recipients: identifiers; organisations: by identifier,
    the domain of its organisation, of own ones as well; own: all that the writer has.
    proved_organisations: those of them that are known to be organisations'; None: all are."""
    others = [one for one in own if not same_uri(one, contactor)]
    return (
        *_unknown(contactor, recipients, history, organisations, others),
        *(
            _outside(contactor, recipients, history, organisations, others)
            if proved_organisations is None
            or organisations.get(contactor, "") in proved_organisations
            else ()
        ),
        *_own_recipients(recipients, others),
    )


def blind_copy_leak(
    mode: ReplyMode, original: Original, own: Sequence[OwnIdentity]
) -> tuple[IdentityWarning, ...]:
    """A reply to all of those who could not see that the writer had the message, too. What came by
    a mailing list shows nobody who reads it, and in a conversation everybody sees everybody."""
    if mode is not ReplyMode.REPLY_ALL or original.list_post or original.open:
        return ()
    if is_own_message(original, own) or is_visible(original, own):
        return ()
    others = (*original.to, *original.cc)
    if not others:
        return ()
    text = "nobody else could see that you had this message; a reply to all shows it"
    return (IdentityWarning(rule=LeakRule.BLIND_COPY, about=others[0].uri, text=text),)


def _unknown(
    contactor: str,
    recipients: Sequence[str],
    history: History,
    organisations: Mapping[str, str],
    others: Sequence[str],
) -> Iterable[IdentityWarning]:
    """Of all recipients together, else of those of each organisation."""
    groups: dict[str, list[str]] = {}
    for one in recipients:
        if name := organisations.get(one, ""):
            groups.setdefault(name, []).append(one)
    for name, group in (("", list(recipients)), *groups.items()):
        if any(history.knows(one, contactor) for one in group):
            continue
        known = [mine for mine in others if any(history.knows(one, mine) for one in group)]
        if not known:
            continue
        who = f"nobody at {name}" if name else "none of the recipients"
        text = f"{who} has seen {contactor}; they know {known[0]}"
        yield IdentityWarning(rule=LeakRule.UNKNOWN_IDENTITY, about=name or contactor, text=text)
        if not name:
            return


def _outside(
    contactor: str,
    recipients: Sequence[str],
    history: History,
    organisations: Mapping[str, str],
    others: Sequence[str],
) -> Iterable[IdentityWarning]:
    name = organisations.get(contactor, "")
    if not name or not recipients:
        return
    if not any(organisations.get(one, "") != name for one in others):
        return  # there is nothing else to write as
    if any(
        organisations.get(one, "") == name or history.knows(one, contactor) for one in recipients
    ):
        return
    text = f"{contactor} belongs to {name}, and nobody there is written to"
    yield IdentityWarning(rule=LeakRule.ORGANISATION_OUTSIDE, about=contactor, text=text)


def _own_recipients(recipients: Sequence[str], others: Sequence[str]) -> Iterable[IdentityWarning]:
    for one in recipients:
        if any(same_uri(one, mine) for mine in others):
            text = f"{one} is your own; everybody sees that it belongs to the conversation"
            yield IdentityWarning(rule=LeakRule.OWN_RECIPIENT, about=one, text=text)
