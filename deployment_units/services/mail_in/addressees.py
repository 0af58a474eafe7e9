"""Whom a mail says that it is to: the addresses of To and Cc, which all who have it see. Pure.

Names and comments are left out before addresses are looked for, since both may hold what looks like
one. What no address can be made of is passed over: it is nobody's who could be shown or written to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from control_plane.identifiers.emails import read_email
from control_plane.identifiers.identifier import Flaw
from deployment_units.services.mail_in.mail import MOST_FIELD_CHARACTERS, ReceivedMail

MOST_ADDRESSEES = 50
_ASIDE = re.compile(r'"(?:[^"\\]|\\.)*"(?!@)|\([^()]*\)')
_ADDRESS = re.compile(r'[^\s<>()\[\],;:"\\@]{1,64}@[^\s<>()\[\],;:"\\@]{1,255}')


def addressees_of(mail: ReceivedMail) -> tuple[str, ...]:
    """In normal form, each once, those of To first; the first ones of too many."""
    found: dict[str, None] = {}
    for field in (*_fields(mail, "to"), *_fields(mail, "cc")):
        for one in _addresses(field):
            found[one] = None
            if len(found) == MOST_ADDRESSEES:
                return tuple(found)
    return tuple(found)


def is_blind_copy(addressees: Iterable[str], own: Iterable[str]) -> bool:
    """Whether a mail came to somebody who is not named in it. own: addresses of theirs, in normal
    form; what stands behind '+' does not matter."""
    theirs = {_without_detail(one) for one in own}
    return not any(_without_detail(one) in theirs for one in addressees)


def others_than(addressees: Iterable[str], own: Iterable[str]) -> tuple[str, ...]:
    """Those who are somebody else."""
    theirs = {_without_detail(one) for one in own}
    return tuple(one for one in addressees if _without_detail(one) not in theirs)


def _fields(mail: ReceivedMail, name: str) -> Iterable[str]:
    """As UTF-8 (RFC 6532), of which `fields` shows what is ASCII."""
    for found, value in mail.message.raw_items():
        if found.lower() == name:
            raw = str(value)[:MOST_FIELD_CHARACTERS].encode("utf-8", "surrogateescape")
            yield raw.decode("utf-8", "replace")


def _addresses(field: str) -> Iterable[str]:
    for written in _ADDRESS.findall(_ASIDE.sub(" ", field)):
        read = read_email(written)
        if not isinstance(read, Flaw):
            yield read.normal


def _without_detail(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}".casefold()
