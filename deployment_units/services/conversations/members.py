"""Members of conversations: accounts of the tenant, and people without an account. Pure.

An account is its id. Somebody without one is a URI in normal form (`mailto:`, `tel:`), so that the
same person is the same text. What begins with one of these schemes is always a URI: an account that
has such an id is no member of anything, for it could be taken for somebody else.
"""

from __future__ import annotations

from control_plane.errors import InvalidInput
from control_plane.identifiers.identifier import Flaw
from control_plane.identifiers.uris import read_uri
from control_plane.identity.names import check_client_id

MAX_URI_BYTES = 512
_SCHEMES = ("mailto:", "tel:")


def is_uri(member: str) -> bool:
    """Whether it names somebody without an account.

    >>> is_uri("mailto:carla@mail.example"), is_uri("carla")
    (True, False)
    """
    return member[:7].lower().startswith(_SCHEMES)


def read_member(text: str, field: str) -> str:
    """A member in its normal form. Raises InvalidInput naming `field`."""
    if not is_uri(text):
        return check_client_id(text, field)
    found = read_uri(text)
    if isinstance(found, Flaw):
        raise InvalidInput(field, f"{field}: {found}")
    size = len(found.uri.encode())
    if size > MAX_URI_BYTES:
        raise InvalidInput(
            field, f"{field} has {size} bytes in its normal form; at most {MAX_URI_BYTES}"
        )
    return found.uri
