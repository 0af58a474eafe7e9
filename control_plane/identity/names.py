"""Which names are allowed for clients, units and tenants.

Everything else trusts these checks: keys, tickets and labels are built from names without
escaping. Pure; raises InvalidInput that names the field and what is wrong with it.
"""

from __future__ import annotations

import re

from control_plane.errors import InvalidInput
from control_plane.printable import quoted

MAX_CLIENT_ID_BYTES = 128
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?\Z")
# C0 and C1 controls, DEL, '/', surrogates, and the line and paragraph separators.
_FORBIDDEN_IN_CLIENT_ID = re.compile("[\x00-\x1f\x7f-\x9f/\ud800-\udfff\u2028\u2029]")


def check_client_id(client_id: str, field: str = "client_id") -> str:
    """The id itself, when it is 1 to 128 bytes of UTF-8 without '/' and control characters."""
    if client_id.isascii() and client_id.isprintable() and "/" not in client_id:
        if 0 < len(client_id) <= MAX_CLIENT_ID_BYTES:
            return client_id
        size = len(client_id)
    else:
        found = _FORBIDDEN_IN_CLIENT_ID.search(client_id)
        if found:
            what = "'/'" if found.group() == "/" else f"the character U+{ord(found.group()):04X}"
            raise InvalidInput(
                field,
                f"{field} contains {what} at position {found.start()}; "
                "use 1 to 128 bytes of UTF-8 without '/' and control characters",
            )
        size = len(client_id.encode())
    if not size:
        raise InvalidInput(field, f"{field} is empty; give each client a stable id")
    if size > MAX_CLIENT_ID_BYTES:
        raise InvalidInput(
            field, f"{field} is {size} bytes long; at most {MAX_CLIENT_ID_BYTES} are allowed"
        )
    return client_id


def is_slug(name: str) -> bool:
    """Whether it is 1 to 63 of a-z 0-9 '-' '.', with a letter or digit at both ends."""
    return _SLUG.match(name) is not None


def check_slug(name: str, field: str) -> str:
    """The name, when it is 1 to 63 of a-z 0-9 '-' '.', with a letter or digit at both ends."""
    if not is_slug(name):
        raise InvalidInput(
            field,
            f"{field} {quoted(name)} is not a valid name; use 1 to 63 of a-z 0-9 '-' '.', "
            "starting and ending with a letter or digit",
        )
    return name
