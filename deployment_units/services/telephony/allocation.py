"""Which technical number a contact gets towards a user, and whether a table is unambiguous. Pure.

A T serves every user once, so a pool needs as many numbers as the busiest user has contacts; it
does not need one for each pair. The first that is free for the user is taken; whoever calls this
does so in the transaction that keeps the link, so that two contacts at once get two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from deployment_units.services.telephony.linking import LinkTable


class PoolEmpty:
    """All technical numbers of the pool are in use for the user, or rest."""


POOL_EMPTY = PoolEmpty()


def allocate(user: str, contact: str, table: LinkTable, pool: Iterable[str]) -> str | PoolEmpty:
    """The T of a contact, E.164: the one that it has, or the first of the pool that stands for
    nobody towards the user. pool: E.164, in the order in which they are taken."""
    has = table.technical_of(user, contact)
    if has is not None:
        return has
    virtual = {one for each in table.users.values() for one in each.virtual}
    for technical in pool:
        place = (user, technical)
        if place not in table.links and place not in table.resting and technical not in virtual:
            return technical
    return POOL_EMPTY


class Ambiguity(StrEnum):
    """Why one call could go two ways."""

    TWO_NUMBERS_OF_CONTACT = "two technical numbers stand for one contact towards one user"
    VIRTUAL_OF_TWO = "a virtual number belongs to two users"
    OWN_OF_TWO = "a number is two users' own"
    VIRTUAL_AND_TECHNICAL = "a number is a virtual and a technical one"
    LINKED_WITHOUT_USER = "a link is of a user that is not there"
    RESTS_AND_STANDS = "a technical number rests and stands for somebody, towards one user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """kind: what is wrong; numbers, users: with which."""

    kind: Ambiguity
    number: str
    user: str = ""


def unambiguous(table: LinkTable) -> list[Conflict]:
    """All that could send one call two ways; empty: nothing. That one T stands for two contacts
    towards one user cannot be written in a table."""
    found = []
    contacts = Counter((user, p2) for (user, _), p2 in table.links.items())
    for (user, p2), count in contacts.items():
        if count > 1:
            found.append(Conflict(kind=Ambiguity.TWO_NUMBERS_OF_CONTACT, number=p2, user=user))
    for kind, numbers in (
        (Ambiguity.VIRTUAL_OF_TWO, [n for one in table.users.values() for n in one.virtual]),
        (Ambiguity.OWN_OF_TWO, [n for one in table.users.values() for n in one.own]),
    ):
        found += [
            Conflict(kind=kind, number=n) for n, count in Counter(numbers).items() if count > 1
        ]
    virtual = {n for one in table.users.values() for n in one.virtual}
    for user, technical in table.links:
        if technical in virtual:
            found.append(
                Conflict(kind=Ambiguity.VIRTUAL_AND_TECHNICAL, number=technical, user=user)
            )
        if user not in table.users:
            found.append(Conflict(kind=Ambiguity.LINKED_WITHOUT_USER, number=technical, user=user))
        if (user, technical) in table.resting:
            found.append(Conflict(kind=Ambiguity.RESTS_AND_STANDS, number=technical, user=user))
    return found
