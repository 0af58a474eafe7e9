"""Whose mail it says it is: the one address of its From. Pure.

A mail with two From fields, or two addresses in one, is nobody's (RFC 5322, 3.6.2 asks for Sender
then, which programs do not show): what one program shows and another checks must be the same.
"""

from __future__ import annotations

from email.utils import getaddresses

from control_plane.identifiers.emails import read_email
from control_plane.identifiers.identifier import Flaw, FlawReason, Identifier, IdentifierKind
from deployment_units.services.mail_in.mail import ReceivedMail

MOST_CHARACTERS = 1_000  # of a From; an address has 254, and there is a name beside it
MOST_COMMENTS = 8  # the library reads one within another by recursion
_REMEDY = "have it sent with one From, of one address"


def sender_of(mail: ReceivedMail) -> Identifier | Flaw:
    """The address in normal form."""
    fields = mail.fields("From")
    if len(fields) != 1:
        return _flaw(f"it has {len(fields)} From fields")
    value = fields[0]
    if len(value) > MOST_CHARACTERS:
        return _flaw(f"its From has {len(value):,} characters")
    if value.count("(") > MOST_COMMENTS:
        return _flaw(f"its From has {value.count('(')} comments")
    if value.count("<") > 1 or value.count(">") > 1:
        return _flaw("its From has brackets within brackets, or several addresses")
    found = [address for _, address in getaddresses([value]) if address]
    if len(found) != 1:
        return _flaw(f"its From has {len(found)} addresses")
    if "<" in value and f"<{found[0]}>" not in value.replace(" ", ""):
        return _flaw("its From says another address in brackets than beside them")
    return read_email(found[0])


def _flaw(message: str) -> Flaw:
    return Flaw(
        reason=FlawReason.SEVERAL, message=message, remedy=_REMEDY, kind=IdentifierKind.EMAIL
    )
