"""Disclosure: what a viewer sees of a profile. Pure.

What a viewer may not see is left out, and nothing says that there was anything; so a profile that
hides everything looks like one that has nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from deployment_units.services.profiles.names import PROVED
from deployment_units.services.profiles.profile import Mode, Profile, ProfileIdentifier, Viewer
from deployment_units.services.profiles.reaching import in_order, is_open


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileCard:
    """What one viewer sees. `disclosed_to` of its identifiers says no more than that."""

    account: str  # its id; empty: the viewer is nobody in particular, who does not learn it
    handle: str  # without '@'; empty: it has none
    name: str
    identifiers: tuple[ProfileIdentifier, ...]
    modes: tuple[Mode, ...]  # by which the viewer may reach it, the owner's preferred first


def disclose(profile: Profile, viewer: Viewer) -> ProfileCard:
    """What `viewer` sees of `profile`."""
    return ProfileCard(
        account=profile.account if viewer.account else "",
        handle=next((one for one, name in profile.handles.items() if name.state in PROVED), ""),
        name=profile.name,
        identifiers=tuple(one for one in profile.identifiers if viewer.is_in(one.disclosed_to)),
        modes=tuple(mode for mode in in_order(profile.preferred) if is_open(profile, viewer, mode)),
    )
