"""Addresses that a domain with mail has whoever its accounts are: `postmaster`, which RFC 5321
(4.5.1) wants taken in any spelling and also without a domain, and `abuse` (RFC 2142). Pure.

Their names are reserved, so no account has them as a handle.
"""

from __future__ import annotations

from collections.abc import Mapping

from deployment_units.services.mail_in.recipient_domains import domain_of

POSTMASTER = "postmaster"
ROLES = frozenset({POSTMASTER, "abuse"})


def is_role(address: str) -> bool:
    """Of a recipient, with or without a part behind `+`.

    >>> is_role("Abuse+spam@talk.example"), is_role("abuser@talk.example")
    (True, False)
    """
    return address.rpartition("@")[0].partition("+")[0].lower() in ROLES


def with_domain(address: str, host: str) -> str:
    """The address as it is, or where it is the bare `postmaster`, that of host.

    >>> with_domain("Postmaster", "talk.example")
    'postmaster@talk.example'
    """
    return f"{POSTMASTER}@{host}" if address.lower() == POSTMASTER else address


def role_handle(handles: Mapping[str, str], address: str) -> str | None:
    """The handle, in normal form, of the account that gets what comes to a role address; None: it
    is none, or nobody is named for it. handles: by our domains."""
    return handles.get(domain_of(address)) if is_role(address) else None
