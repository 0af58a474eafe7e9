"""Caller: somebody who calls, what it may be, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.auth.roles import Role, with_implied


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """roles: with all that they imply. tenant: the only one it has to do with; empty: all.
    application: of that tenant, the only one it speaks for; empty: any. units: those whose agent
    it is. platform: the name of the one that it is. client_id: of that tenant, the one it has
    proved to be; empty: none, or many."""

    name: str
    roles: frozenset[Role]
    tenant: str = ""
    application: str = ""
    units: frozenset[str] = frozenset()
    platform: str = ""
    client_id: str = ""

    def may(self, *roles: Role) -> bool:
        """Whether it has any of these roles."""
        return not self.roles.isdisjoint(roles)


ANYONE_LOCAL = Caller(name="anyone", roles=frozenset(Role))
"""Where no credentials are asked for: whoever can connect may do everything."""

STRANGER = Caller(name="a caller without credential", roles=with_implied({Role.CLIENT}))
"""Where credentials are asked for and none is shown: somebody who may be a client of any tenant,
and has to prove which."""
