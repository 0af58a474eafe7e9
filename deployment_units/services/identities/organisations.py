"""The organisation of an identifier, as far as it says so itself: the domain of an address. Pure.

Whether a domain is an organisation's or a mail provider's is not to be seen by its name. So what
follows from it here is a preference or a word in a reason, and never a warning of its own.
"""

from __future__ import annotations

_MAIL = "mailto:"


def organisation_of(uri: str) -> str:
    """The domain of an address; empty: it has none.

    >>> organisation_of("mailto:ben@contoso.example"), organisation_of("@ben")
    ('contoso.example', '')
    """
    if not uri.startswith(_MAIL):
        return ""
    return uri.rpartition("@")[2].casefold()
