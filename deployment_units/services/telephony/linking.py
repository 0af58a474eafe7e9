"""Who is linked with whom, and where a call goes by it. Pure: a table, and questions to it.

A table has users and their links. A link says that one technical number, T, stands for one
contact's number, P2, towards one user; so a T is no key by itself, but with the user it is one.
What makes a table answer every call in one way only is written in `unambiguous` (see allocation).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployment_units.services.telephony.port import RefusedCause


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The numbers of one user, all E.164. own: P1, proved; the first is rung. virtual: V; the first
    is shown."""

    own: tuple[str, ...] = ()
    virtual: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTable:
    """users: by name. links: the contact's number by user and T. resting: user and T of links that
    ended a while ago; nothing goes there, and nobody gets them yet."""

    users: Mapping[str, User] = field(default_factory=dict)
    links: Mapping[tuple[str, str], str] = field(default_factory=dict)
    resting: frozenset[tuple[str, str]] = frozenset()

    def technical_of(self, user: str, contact: str) -> str | None:
        """The T by which a contact is known to a user; None: there is no link."""
        found = [t for (whose, t), p2 in self.links.items() if whose == user and p2 == contact]
        return min(found, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """user: whose call it is, named by what it is in the table. target: who is rung; shown: as whom
    the caller is shown, None: nobody. contact: the other side's number, P2; None: withheld.
    outgoing: P1 calls. stranger: P2 has no link yet; `shown` is None until it has one."""

    user: str
    target: str
    shown: str | None
    contact: str | None
    outgoing: bool
    stranger: bool = False


def link(caller: str | None, dialled: str, table: LinkTable) -> Linked | RefusedCause:
    """Where a call or text goes. caller, dialled: E.164; caller None: withheld."""
    for name, user in table.users.items():
        if dialled in user.virtual:
            return _to_user(caller, name, user, table)
    if caller is None:
        return RefusedCause.WITHHELD
    for name, user in table.users.items():
        if caller in user.own and (contact := table.links.get((name, dialled))):
            if not user.virtual:
                return RefusedCause.NO_NUMBER
            return Linked(
                user=name, target=contact, shown=user.virtual[0], contact=contact, outgoing=True
            )
    return RefusedCause.NOT_FOUND


def _to_user(caller: str | None, name: str, user: User, table: LinkTable) -> Linked | RefusedCause:
    if not user.own:
        return RefusedCause.NO_NUMBER
    if caller in user.own:
        return RefusedCause.LOOP
    shown = None if caller is None else table.technical_of(name, caller)
    return Linked(
        user=name,
        target=user.own[0],
        shown=shown,
        contact=caller,
        outgoing=False,
        stranger=caller is not None and shown is None,
    )
