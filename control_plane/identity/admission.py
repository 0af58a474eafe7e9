"""TicketVerifier: what a unit makes of a ticket, offline.

A refusal is a result with a reason, never an exception, and each reason is a different one,
because the client has to do something different about it. The signature comes first:
nothing of a ticket that nobody signed is repeated or acted upon. What is checked, and why,
follows RFC 7515, RFC 7519 and the best practices of RFC 8725.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Annotated, NamedTuple

import msgspec

from control_plane.errors import InvalidInput
from control_plane.identity import jws
from control_plane.identity.departures import Departed, DepartureMemory
from control_plane.identity.jws import EDDSA, HS256, UNREADABLE, Header, SignatureCheck
from control_plane.identity.tickets import ISSUER, VerifyingKey

MAX_TICKET_BYTES = 4096
LEEWAY_S = 5.0  # how far clocks may be apart
MOST_OPENED = 4_096  # tokens that are remembered, of MAX_TICKET_BYTES at most


class AdmissionReason(StrEnum):
    ADMITTED = "admitted"
    MALFORMED = "malformed"
    FORGED = "forged"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_UNIT = "wrong-unit"
    FOREIGN_TENANT = "foreign-tenant"
    STALE_EPOCH = "stale-epoch"
    UNIT_FULL = "unit-full"


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome. Who the client is stands here only when the signature was good."""

    reason: AdmissionReason
    message: str
    tenant: str = ""
    client_id: str = ""
    epoch: int = 0
    expires_at: float = 0.0  # Unix seconds
    first_ms: int = 0  # when this life of the client began, Unix ms; 0: the ticket does not say
    held: bool = False  # its place is held until the control plane hears that it came
    departed: Departed | None = None  # of a stale epoch: where it went, if that is known

    @property
    def admitted(self) -> bool:
        return self.reason is AdmissionReason.ADMITTED


class EpochMemory:
    """The highest epoch seen of each client, for the `size` clients seen last. A client that
    was released begins again at epoch 1: its tickets are the ones issued later."""

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._seen: OrderedDict[tuple[str, str], tuple[int, int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def is_past(
        self, tenant: str, client_id: str, epoch: int, issued_at: int, first_ms: int = 0
    ) -> bool:
        """Whether a ticket of a later epoch, or life, was seen that was not issued before this
        one. first_ms: when this life of the client began; 0: not known."""
        newest, newest_issued_at, newest_first_ms = self._seen.get((tenant, client_id), (0, 0, 0))
        if first_ms and newest_first_ms and first_ms != newest_first_ms:
            return first_ms < newest_first_ms and issued_at <= newest_issued_at
        return epoch < newest and issued_at <= newest_issued_at

    def remember(
        self, tenant: str, client_id: str, epoch: int, issued_at: int, first_ms: int = 0
    ) -> None:
        """Notes a ticket that is not past; the oldest memory goes when there are too many."""
        key = (tenant, client_id)
        newest, newest_issued_at, newest_first_ms = self._seen.get(key, (0, 0, 0))
        if epoch == newest and first_ms == newest_first_ms:
            issued_at = max(issued_at, newest_issued_at)
        self._seen[key] = (epoch, issued_at, first_ms)
        self._seen.move_to_end(key)
        if len(self._seen) > self._size:
            self._seen.popitem(last=False)


def _refused(reason: AdmissionReason, message: str) -> Admission:
    return Admission(reason=reason, message=message)


_MALFORMED = _refused(
    AdmissionReason.MALFORMED, "this is not a ticket; send the one you were given"
)
_FORGED = _refused(
    AdmissionReason.FORGED,
    "the ticket's signature does not hold; get a new one from the provisioner",
)

_ELSEWHERE = _refused(
    AdmissionReason.WRONG_UNIT,
    "the ticket is for another unit; connect to the endpoint that came with it",
)
_UNOPENED = {refused.reason: refused for refused in (_MALFORMED, _FORGED, _ELSEWHERE)}


# Typed and strict: no other type, not NaN, not infinity, not a number written as a text.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Audience(msgspec.Struct):
    aud: str


class _Claims(msgspec.Struct):
    iss: str
    aud: str
    sub: str
    tenant: str
    epoch: _Count
    iat: _Count
    exp: _Count
    hld: _Count = 0
    first: _Count = 0


_read_audience = msgspec.json.Decoder(_Audience).decode
_read_claims = msgspec.json.Decoder(_Claims).decode


class _Opened(NamedTuple):
    """A token that a key has signed. expires_at: of that key, Unix seconds; None: it does not."""

    content: tuple[Header, bytes]
    expires_at: float | None


class TicketVerifier:
    """Checks tickets for one unit. `tenants` empty: serves all."""

    def __init__(
        self,
        unit_id: str,
        keys: Sequence[VerifyingKey] = (),
        *,
        tenants: Collection[str] = (),
        leeway_s: float = LEEWAY_S,
        epochs: EpochMemory | None = None,
        departures: DepartureMemory | None = None,
        most_opened: int = MOST_OPENED,
    ) -> None:
        self._unit_id = unit_id
        self._tenants = frozenset(tenants)
        self._leeway_s = leeway_s
        self._most_opened = most_opened
        self.epochs = epochs if epochs is not None else EpochMemory()
        self.departures = departures if departures is not None else DepartureMemory()
        self.use(keys)

    def use(self, keys: Sequence[VerifyingKey]) -> None:
        """From now on these keys count, and no others; those of an algorithm that this
        version does not know are passed over. Raises InvalidInput for a key that cannot be
        one, and then nothing has changed."""
        self._checks = {
            (key.algorithm, key.key_id): (_check_of(key), key.expires_at)
            for key in keys
            if key.algorithm in (HS256, EDDSA)
        }
        self._opened: dict[str, _Opened] = {}  # the oldest first; by none but these keys

    def serves(self, tenant: str) -> bool:
        """Whether clients of a tenant may have their home here."""
        return not self._tenants or tenant in self._tenants

    @property
    def has_keys(self) -> bool:
        return bool(self._checks)

    @property
    def tokens_remembered(self) -> int:
        """How many that are signed."""
        return len(self._opened)

    def verify(self, ticket: str, now: float) -> Admission:
        """What to make of `ticket` at `now` (Unix seconds)."""
        opened = self.open(ticket, now)
        return (
            _UNOPENED[opened]
            if isinstance(opened, AdmissionReason)
            else self._check_claims(opened[1], now)
        )

    def open(self, token: str, now: float) -> tuple[Header, bytes] | AdmissionReason:
        """Header and claims of a token whose signature is good; else why there are none:
        malformed, forged, or wrong-unit. A client shows the same token with each call: that it is
        signed is found out once, and everything else about it each time."""
        known = self._opened.get(token)
        if known is not None and (known.expires_at is None or known.expires_at >= now):
            return known.content
        opened = self._open(token, now)
        if not isinstance(opened, AdmissionReason):
            while len(self._opened) >= self._most_opened:
                del self._opened[next(iter(self._opened))]
            self._opened[token] = opened
            return opened.content
        return opened

    def _open(self, token: str, now: float) -> _Opened | AdmissionReason:
        """As `open`, of a token that was not seen before."""
        found = jws.parse(token, max_bytes=MAX_TICKET_BYTES)
        if found is None:
            return AdmissionReason.MALFORMED
        header, claims, signed, signature = found
        # The kind of key decides the algorithm, not the ticket: `none`, or an HMAC made
        # with a public key, finds no key here.
        check, expires_at = self._checks.get((header.alg, header.kid), (_never, None))
        if expires_at is not None and expires_at < now:
            return AdmissionReason.FORGED
        if not check(signed, signature):
            known = check is not _never
            return (
                AdmissionReason.WRONG_UNIT
                if known and self._names_another(claims)
                else AdmissionReason.FORGED
            )
        return _Opened((header, claims), expires_at)

    def _names_another(self, claims: bytes) -> bool:
        """Whether a ticket that we cannot check says it is another unit's. Each unit has its
        own key, so a good ticket at the wrong door looks forged but for this. It is refused
        either way, and nothing it says is repeated."""
        try:
            return _read_audience(claims).aud != self._unit_id
        except UNREADABLE:
            return False

    def _check_claims(self, content: bytes, now: float) -> Admission:
        """Everything about a ticket whose signature is good."""
        try:
            claims = _read_claims(content)
        except UNREADABLE:
            return _MALFORMED
        if claims.iss != ISSUER:
            return _MALFORMED
        tenant, client_id, epoch = claims.tenant, claims.sub, claims.epoch
        reason, message = AdmissionReason.ADMITTED, "welcome"
        departed = self.departures.find(tenant, client_id)
        if claims.aud != self._unit_id:
            reason = AdmissionReason.WRONG_UNIT
            message = f"the ticket is for unit {claims.aud}; connect there"
        elif not self.serves(tenant):
            reason = AdmissionReason.FOREIGN_TENANT
            message = f"this unit does not serve tenant {tenant}; get a new assignment"
        elif now > claims.exp + self._leeway_s:
            reason = AdmissionReason.EXPIRED
            message = "the ticket has expired; get a fresh one from the provisioner"
        elif now < claims.iat - self._leeway_s:
            reason = AdmissionReason.NOT_YET_VALID
            message = "the ticket is from the future; check the clocks of both sides"
        elif departed is not None and departed.ends(epoch, claims.iat, claims.first):
            reason, message = AdmissionReason.STALE_EPOCH, _whereto(departed)
        elif self.epochs.is_past(tenant, client_id, epoch, claims.iat, claims.first):
            reason = AdmissionReason.STALE_EPOCH
            message = "the client has moved since; ask the provisioner where to"
        else:
            self.epochs.remember(tenant, client_id, epoch, claims.iat, claims.first)
        return Admission(
            reason=reason,
            message=message,
            tenant=tenant,
            client_id=client_id,
            epoch=epoch,
            expires_at=float(claims.exp),
            first_ms=claims.first,
            held=claims.hld == 1,
            departed=departed if reason is AdmissionReason.STALE_EPOCH else None,
        )


def _whereto(departed: Departed) -> str:
    if not departed.unit_id:
        return "the client's place was given back; provision it again"
    at = f" at {departed.endpoint}" if departed.endpoint else ""
    return f"the client lives at unit {departed.unit_id}{at} now; get its ticket for there"


def _never(message: bytes, signature: bytes) -> bool:
    return False


def _check_of(key: VerifyingKey) -> SignatureCheck:
    """The check that a key makes. Raises InvalidInput."""
    make = jws.hs256_check if key.algorithm == HS256 else jws.eddsa_check
    try:
        return make(key.key)
    except ValueError as error:
        raise InvalidInput("keys", f"ticket key {key.key_id} {error}") from error
