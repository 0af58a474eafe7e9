"""ClientProof: what a call shows of being the client it is about, and whether that proves it.

A client proves itself by the key whose digest its record has, or by a ticket of the assignment
that it has; or it needs no proof here, because whoever calls was believed before (a gateway, a
certificate, a token of the tenant's issuer). What was shown is held against the record as the
store has it. Whoever proves nothing is told the same, whether there is such a client or not.
"""

from __future__ import annotations

import string
from binascii import b2a_base64
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from typing import NamedTuple

import msgspec

from control_plane.auth.shown import CLIENT_KEY_METADATA
from control_plane.errors import DataLoss, PermissionDenied
from control_plane.store.port import KeyValue
from provisioner.ledger.assignment import AssignmentRecord
from provisioner.placement.attributes import NO_ATTRIBUTES, Attributes

_KEY_DIGITS = 43  # 32 bytes in base64url
_ALPHABET = (string.ascii_letters + string.digits + "-_").encode()
DIGEST_BYTES = 16  # 128 bits: keys are random, and one is to be found, not a pair
_DIGITS = 22  # of a digest in base64url, without its padding
_URL = bytes.maketrans(b"+/", b"-_")


class ShownTicket(NamedTuple):
    """What a client's last ticket shows."""

    unit_id: str
    epoch: int
    known_at: int  # when this was so, Unix seconds
    first_ms: int = 0  # as AssignmentRecord has it; 0: the ticket does not say


def client_denied() -> PermissionDenied:
    """For every call that does not prove to come from its client."""
    return PermissionDenied(
        "nothing shown here proves that the caller is this client, or may become it: show the "
        f"client's key ({CLIENT_KEY_METADATA}), its last ticket, a token of its tenant that names "
        "it, or a client certificate"
    )


def damaged(client_id: str) -> DataLoss:
    """For a client whose record cannot be read."""
    return DataLoss(
        f"the assignment of client {client_id} is damaged in the store; an operator has to repair "
        "or delete its record"
    )


def key_digest(shown: str) -> str:
    """The digest of a client's key as it was shown, as records have it; empty: it is none."""
    if len(shown) != _KEY_DIGITS or not shown.isascii():
        return ""
    key = shown.encode()
    if key.translate(None, _ALPHABET):  # what is left has no business in base64url
        return ""
    return b2a_base64(sha256(key).digest()[:DIGEST_BYTES])[:_DIGITS].translate(_URL).decode()


class ClientProof(msgspec.Struct, kw_only=True, eq=False):
    """See the module. A Struct, because every call that shows something makes one.

    key: the digest of the key shown; empty: none. vouched: the caller needs no other proof.
    may_claim: where the client is not there yet, it may be made. bootstrap: a token that may let
    it in; empty: none. consumes: the token's record, once it was found good, which goes with the
    making of the client. binds: a client that is made is bound to the key; binds_known: one that
    has none is, once it is proved. tickets: the caller may have tickets without other proof, too.
    read_ticket: reads the ticket shown, at most once; None: none was shown, or it is read.
    attributes: that the proof says of the client; an empty value: it has none of that name.
    enrols_with: those that a client has which is made now, by what let it in.
    is_client: the caller is the client, by its token or certificate, and is nobody else besides.
    """

    key: str = ""
    vouched: bool = False
    may_claim: bool = False
    binds: bool = True
    binds_known: bool = False
    tickets: bool = True
    bootstrap: str = ""
    consumes: KeyValue | None = None
    read_ticket: Callable[[], ShownTicket | None] | None = None
    attributes: Attributes = NO_ATTRIBUTES
    enrols_with: Attributes = NO_ATTRIBUTES
    is_client: bool = False
    _ticket: ShownTicket | None = None

    @property
    def ticket(self) -> ShownTicket | None:
        """What the ticket shows; None: nothing, or there is none."""
        read = self.read_ticket
        if read is not None:
            self._ticket = read()
            self.read_ticket = None
        return self._ticket

    @property
    def empty(self) -> bool:
        """Whether nothing was shown that any record could be held against."""
        return not (self.vouched or self.key or self.ticket is not None)

    @property
    def bound_key(self) -> str:
        """What the record of a client that is made now keeps."""
        return self.key if self.binds else ""

    def proves(self, record: AssignmentRecord) -> bool:
        """Whether the caller is the client with this record, or needs no proof."""
        return self.vouched or self.shows(record)

    def shows(self, record: AssignmentRecord) -> bool:
        """Whether what was shown is of the client with this record."""
        if self.has_key(record.key):
            return True
        ticket = self.ticket
        return ticket is not None and _is_of(ticket, record)

    @property
    def sees_rules(self) -> bool:
        """Whether the caller is told by which rules of its tenant the client is placed."""
        return self.vouched and not self.is_client

    def has_key(self, key: str) -> bool:
        """Whether the key shown has this digest; never where either is missing."""
        return bool(key) and bool(self.key) and compare_digest(key, self.key)

    def may_have_ticket(self, record: AssignmentRecord) -> bool:
        """Whether the answer to a caller who may see this record may have a ticket for it."""
        return self.tickets or self.shows(record)


ANYONES = ClientProof(vouched=True, may_claim=True)
"""Where no credentials are asked for."""

GATEWAYS = ClientProof(vouched=True, may_claim=True, binds=False)
"""Of who speaks for clients."""


def _is_of(ticket: ShownTicket, record: AssignmentRecord) -> bool:
    """Whether a ticket was made out in this life of the client: since it was assigned first."""
    first_ms = record.first_ms
    if ticket.first_ms and first_ms:
        return ticket.first_ms == first_ms
    # One of the two is from before first assignments were recorded.
    if ticket.epoch == record.epoch or first_ms:
        return ticket.known_at >= (first_ms or record.at_ms) // 1000
    return ticket.epoch < record.epoch
