"""ClientCredentials: what a client library shows with its calls: a token for all of them, and
with those about one client that client's key, and what it enrols with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from homeport.channels import metadata_of
from homeport.client_keys import ClientKeys

KEY_METADATA = "homeport-client-key"

Metadata: TypeAlias = tuple[tuple[str, str], ...]
Enrolment: TypeAlias = str | Callable[[str], str]
"""What a client enrols with: a token, or what makes one of the client's id."""


class ClientCredentials:
    """One per client library."""

    def __init__(
        self,
        *,
        tenant: str,
        keys: ClientKeys | None = None,
        token: str | None = None,
        enrolment: Enrolment | None = None,
    ) -> None:
        """keys None: none are shown. Raises ValueError for a token that no header can hold, and
        where there are two things to show in one header."""
        if token is not None and enrolment is not None:
            raise ValueError("token and enrolment are shown in the same header; give one of them")
        self.general = metadata_of(enrolment if isinstance(enrolment, str) else token)
        self._tenant = tenant
        self._keys = keys
        self._enrolment = enrolment if callable(enrolment) else None

    def at_hand(self, client_id: str) -> Metadata | None:
        """What is shown with a call about this client (empty: about none), where it needs no
        file and nobody else's code; else None."""
        if not client_id or (self._keys is None and self._enrolment is None):
            return self.general
        if self._enrolment is not None or self._keys is None:
            return None
        key = self._keys.known(self._tenant, client_id)
        return None if key is None else (*self.general, (KEY_METADATA, key))

    def of(self, client_id: str) -> Metadata:
        """The same, whatever it takes. Raises what the maker of enrolment tokens raises."""
        found = self.at_hand(client_id)
        if found is not None:
            return found
        shown = self.general
        if self._enrolment is not None:
            shown = metadata_of(self._enrolment(client_id))
        if self._keys is None:
            return shown
        return (*shown, (KEY_METADATA, self._keys.key(self._tenant, client_id)))
