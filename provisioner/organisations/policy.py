"""OrganisationPolicy: who comes to an organisation, and where its members may go. Values only."""

from __future__ import annotations

from enum import StrEnum

import msgspec

MOST_LISTED = 256  # organisations of one list


class Joining(StrEnum):
    """Who becomes a member of an organisation without an owner's doing."""

    BY_DOMAIN = "domain"  # whoever has an address at a domain whose primary organisation it is
    BY_OWNER = "owner"  # nobody: owners make members


class Openness(StrEnum):
    """To which other organisations something is open."""

    ANYBODY = "anybody"  # also to accounts of no organisation
    LISTED = "listed"  # to the organisations of a list
    NOBODY = "nobody"


class OrganisationPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """guests: who else may be in its groups; visits: in whose groups its members may be.
    single_sign_on, two_factors: what its members have to have shown before they go to a group."""

    joining: Joining = Joining.BY_OWNER
    guests: Openness = Openness.ANYBODY
    guests_of: tuple[str, ...] = ()
    visits: Openness = Openness.ANYBODY
    visits_to: tuple[str, ...] = ()
    single_sign_on: bool = False
    two_factors: bool = False

    def takes_guests_of(self, organisation: str) -> bool:
        """Whether members of this organisation may be guests; empty: accounts of none."""
        return _is_open(self.guests, self.guests_of, organisation)

    def lets_visit(self, organisation: str) -> bool:
        """Whether members may be guests of this organisation."""
        return _is_open(self.visits, self.visits_to, organisation)


def _is_open(openness: Openness, listed: tuple[str, ...], organisation: str) -> bool:
    if openness is Openness.LISTED:
        return bool(organisation) and organisation in listed
    return openness is Openness.ANYBODY
