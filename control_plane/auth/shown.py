"""ShownCredentials: what a call shows of who makes it, read of its metadata in one pass.

Made where a call comes in and handed on to all who ask: who calls, whether it may become a
client, by which key it proves to be one, as what it is counted. Nothing is looked up or verified
here, and a bearer is not even read before somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from control_plane.auth.credentials import (
    GROUP_PREFIX,
    MAX_CREDENTIAL_BYTES,
    CredentialForm,
    bearer_in,
    credential_form,
)
from control_plane.errors import Unauthenticated

CLIENT_KEY_METADATA = "homeport-client-key"
_USUAL = f"Bearer {GROUP_PREFIX}"
_TEXT = len("Bearer ")  # where a bearer begins


class Bearer(msgspec.Struct, frozen=True):
    """What is shown as bearer. text: without the word; form: by its looks. A Struct is made in a
    third of the time of a NamedTuple, and every call that shows something has one."""

    text: str
    form: CredentialForm


class ShownCredentials:
    """client_key: the client's key as it was shown, which may be none; empty: there is none. Of
    several the first counts. group_token: the bearer, where it has the form of a token of an
    enrolment group and is shown the way most clients do; empty: `bearer` says what is shown."""

    __slots__ = ("_authorization", "_bearer", "_twice", "client_key", "group_token")

    def __init__(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        authorization: str | bytes | None = None
        key: str | bytes | None = None
        twice = False
        for name, value in metadata:
            if name == "authorization":
                twice = authorization is not None or twice
                authorization = value
            elif name == CLIENT_KEY_METADATA and key is None:
                key = value
        self.group_token = ""
        if (
            isinstance(authorization, str)
            and authorization.startswith(_USUAL)
            and not twice
            and authorization[-1] > " "  # or `bearer_in` takes it off
            and len(authorization) <= MAX_CREDENTIAL_BYTES
            and authorization.isascii()
        ):
            self.group_token = authorization[_TEXT:]
        self._authorization = authorization
        self._twice = twice
        self._bearer: Bearer | None = None
        self.client_key = (key.decode("latin-1") if isinstance(key, bytes) else key) or ""

    def bearer(self) -> Bearer | None:
        """What is shown as bearer; None: nothing is. Raises Unauthenticated where it is shown in
        another way, twice, or is too long to be any."""
        found = self._bearer
        if found is None and self._authorization is not None:
            if self._twice:
                raise Unauthenticated("authorization is there more than once; send one")
            text = bearer_in(self._authorization)
            found = self._bearer = Bearer(text, credential_form(text))
        return found
