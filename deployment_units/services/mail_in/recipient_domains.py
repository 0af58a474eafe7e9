"""The domain of a recipient, as a unit's own domains are written. Pure."""

from __future__ import annotations


def domain_of(address: str) -> str:
    """Of an address, as our domains are written; empty: it has none.

    >>> domain_of("anna@TALK.example.")
    'talk.example'
    """
    domain = address.rpartition("@")[2].rstrip(".").lower() if "@" in address else ""
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return ""
