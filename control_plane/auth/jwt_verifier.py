"""JwtVerifier: whether a JWT is one that an issuer made for us, by RFC 7519 and RFC 8725.

Knows no network: the issuer's keys come from a key source, and what the claims mean is for
whoever asks. How a token is parsed is in `control_plane.identity.jws`, which keys check what in
`control_plane.auth.jwks`; the signatures are PyJWT's. Its `decode` reads the clock itself and
tells fewer refusals apart.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from control_plane.auth.jwks import ALGORITHMS, KeySet
from control_plane.identity.jws import UNREADABLE, UnverifiedToken, parse
from control_plane.printable import number_of, quoted

MAX_TOKEN_BYTES = 8 << 10
LEEWAY_S = 60.0
MAX_LEEWAY_S = 300.0
MAX_REMEMBERED = 4_096
MOST_ISSUER = 256  # characters of a claimed issuer that is remembered
# A token of another type (of a logout, of a proof) may be signed by the same issuer with the same
# keys; RFC 8725, section 3.11. RFC 9068 is that of at+jwt.
TYPES = frozenset({"", "jwt", "at+jwt", "application/jwt", "application/at+jwt"})

Claims = Mapping[str, Any]
T = TypeVar("T")


class JwtRefusal(StrEnum):
    """Why a token is refused; for operators alone. Whoever shows one hears one text for all."""

    TOO_LONG = "too-long"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    TYPE = "type"
    ISSUER = "issuer"
    KEYS_AWAY = "keys-away"
    UNKNOWN_KEY = "unknown-key"
    KEY_ID_MISSING = "key-id-missing"
    SIGNATURE = "signature"
    AUDIENCE = "audience"
    NO_EXPIRY = "no-expiry"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    ISSUED_LATER = "issued-later"
    CLAIMS = "claims"


class JwtRefused(Exception):
    """The token is not one for us. The message is for a log: it holds nothing that is secret."""

    def __init__(self, reason: JwtRefusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerPolicy:
    """What is asked of the tokens of one issuer. issuer: their `iss`, to the letter. audiences:
    one of them must be in `aud`; None: whoever reads the claims looks at that.
    leeway_s: how far clocks may differ, 0 to 300 s."""

    issuer: str
    audiences: frozenset[str] | None
    algorithms: frozenset[str] = ALGORITHMS
    leeway_s: float = LEEWAY_S

    def __post_init__(self) -> None:
        named = self.audiences is None or (self.audiences and "" not in self.audiences)
        if not self.issuer or not named:
            raise ValueError("an issuer and an audience have to be named")
        if not self.algorithms or not self.algorithms <= ALGORITHMS:
            raise ValueError(f"algorithms are among {', '.join(sorted(ALGORITHMS))}")
        if not 0 <= self.leeway_s <= MAX_LEEWAY_S:
            raise ValueError(f"the leeway is 0 to {MAX_LEEWAY_S:g} s")


class KeySource(Protocol):
    """Where an issuer's keys come from."""

    def current(self) -> KeySet | None:
        """The same object for as long as the keys are the same; None: they could not be had, or
        not for too long."""

    def ask_anew(self) -> None:
        """A token names a key that is not there: the issuer may have a new one. Cheap."""


class FixedKeys:
    """A source whose keys stay."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    def current(self) -> KeySet | None:
        return self._keys

    def ask_anew(self) -> None:
        """There are no others."""


class JwtVerifier(Generic[T]):
    """For one issuer. read: what the claims of a verified token mean; raises ValueError where
    they are not as they have to be. It is asked once for each token, which is then remembered
    until it expires or the issuer's keys change. wall: Unix seconds."""

    def __init__(
        self,
        policy: IssuerPolicy,
        keys: KeySource,
        *,
        read: Callable[[Claims], T],
        wall: Callable[[], float],
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._policy = policy
        self._keys = keys
        self._read = read
        self._wall = wall
        self._max_remembered = max_remembered
        self._verified: OrderedDict[bytes, tuple[float, T]] = OrderedDict()
        self._verified_by: KeySet | None = None

    @property
    def issuer(self) -> str:
        """Whose tokens these are."""
        return self._policy.issuer

    def verify(self, token: str) -> T:
        """What the token says. Raises JwtRefused."""
        if len(token) > MAX_TOKEN_BYTES:
            raise JwtRefused(
                JwtRefusal.TOO_LONG, f"{len(token):,} characters; at most {MAX_TOKEN_BYTES:,}"
            )
        if not token.isascii():
            raise JwtRefused(JwtRefusal.MALFORMED, "not a JWT in canonical form")
        keys = self._keys.current()
        if keys is not self._verified_by:
            # A key that the issuer has withdrawn takes along what it signed.
            self._verified.clear()
            self._verified_by = keys
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is not None:
            expires_at, meaning = known
            self._check_not_expired(expires_at)
            self._verified.move_to_end(digest)
            return meaning
        claims = self._verified_claims(token, keys)
        expires_at = self._check_claims(claims)
        try:
            meaning = self._read(claims)
        except ValueError as error:
            raise JwtRefused(JwtRefusal.CLAIMS, str(error)) from error
        self._verified[digest] = (expires_at, meaning)
        if len(self._verified) > self._max_remembered:
            self._verified.popitem(last=False)
        return meaning

    def _verified_claims(self, token: str, keys: KeySet | None) -> Claims:
        """Raises JwtRefused."""
        parts = parse(token, max_bytes=MAX_TOKEN_BYTES)
        claims = _claims_of(parts)
        if parts is None or claims is None:
            raise JwtRefused(JwtRefusal.MALFORMED, "not a JWT in canonical form")
        header = parts.header
        if header.alg not in self._policy.algorithms:
            raise JwtRefused(JwtRefusal.ALGORITHM, f"alg {quoted(header.alg)} is not taken")
        if header.typ.lower() not in TYPES:
            raise JwtRefused(JwtRefusal.TYPE, f"typ {quoted(header.typ)} is another kind of token")
        # Before its signature, so that nobody else's tokens have this issuer's keys asked for.
        if claims.get("iss") != self._policy.issuer:
            raise JwtRefused(JwtRefusal.ISSUER, f"iss is {quoted(claims.get('iss'))}")
        if keys is None:
            raise JwtRefused(JwtRefusal.KEYS_AWAY, "the issuer's keys could not be had")
        found = keys.find(header.kid)
        if not found:
            self._keys.ask_anew()
            if not header.kid:
                raise JwtRefused(
                    JwtRefusal.KEY_ID_MISSING,
                    f"no kid, and the issuer has {number_of(len(keys), 'key')}",
                )
            raise JwtRefused(JwtRefusal.UNKNOWN_KEY, f"kid {quoted(header.kid)} is not known")
        checks = [key.checks[header.alg] for key in found if header.alg in key.checks]
        if not checks:
            raise JwtRefused(
                JwtRefusal.ALGORITHM, f"alg {quoted(header.alg)} is not that of its key"
            )
        if not any(check(parts.signed, parts.signature) for check in checks):
            raise JwtRefused(JwtRefusal.SIGNATURE, f"not signed by key {quoted(header.kid)}")
        return claims

    def _check_claims(self, claims: Claims) -> float:
        """When the token expires, Unix seconds. Raises JwtRefused."""
        audience, wanted = claims.get("aud"), self._policy.audiences
        named = audience if isinstance(audience, list) else [audience]
        if wanted is not None and not any(isinstance(one, str) and one in wanted for one in named):
            raise JwtRefused(JwtRefusal.AUDIENCE, f"aud is {quoted(audience)}")
        if "exp" not in claims:
            raise JwtRefused(JwtRefusal.NO_EXPIRY, "without exp it would be good for ever")
        expires_at = _time(claims, "exp")
        self._check_not_expired(expires_at)
        latest = self._wall() + self._policy.leeway_s
        for name, reason in (("nbf", JwtRefusal.NOT_YET_VALID), ("iat", JwtRefusal.ISSUED_LATER)):
            if name in claims and (ahead_s := _time(claims, name) - latest) > 0:
                raise JwtRefused(reason, f"{name} is {ahead_s:,.0f} s beyond the leeway")
        return expires_at

    def _check_not_expired(self, expires_at: float) -> None:
        late_s = self._wall() - expires_at - self._policy.leeway_s
        if late_s >= 0:
            raise JwtRefused(JwtRefusal.EXPIRED, f"exp is {late_s:,.0f} s beyond the leeway")


def claimed_issuer(token: str) -> str:
    """The issuer that a token says it is of, for choosing who verifies it; empty: it is no JWT,
    or names none. Nothing else may rest on it."""
    claims = _claims_of(parse(token, max_bytes=MAX_TOKEN_BYTES))
    issuer = claims.get("iss") if claims is not None else None
    return issuer if isinstance(issuer, str) else ""


class ClaimedIssuers:
    """`claimed_issuer` of tokens that come again with every call: reading one takes 5 us, finding
    it 1 us. It rests on a token's text alone, so nothing that is revoked or withdrawn changes it.
    By the digest, for tokens are secrets; beyond most of them those not asked for longest are
    forgotten."""

    def __init__(
        self, most: int = MAX_REMEMBERED, *, read: Callable[[str], str] = claimed_issuer
    ) -> None:
        self._most = most
        self._read = read
        self._issuers: OrderedDict[bytes, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._issuers)

    def of(self, token: str) -> str:
        """See `claimed_issuer`."""
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            return ""
        digest = hashlib.sha256(token.encode()).digest()
        issuer = self._issuers.get(digest)
        if issuer is not None:
            self._issuers.move_to_end(digest)
            return issuer
        issuer = self._read(token)
        if len(issuer) <= MOST_ISSUER:
            self._issuers[digest] = issuer
            if len(self._issuers) > self._most:
                self._issuers.popitem(last=False)
        return issuer


def _claims_of(parts: UnverifiedToken | None) -> Claims | None:
    if parts is None:
        return None
    try:
        claims = msgspec.json.decode(parts.claims)
    except UNREADABLE:
        return None
    return claims if isinstance(claims, dict) else None


def _time(claims: Claims, name: str) -> float:
    """A NumericDate, which may have a fraction. Raises JwtRefused."""
    value = claims[name]
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            seconds = float(value)
        except OverflowError:
            seconds = math.inf
        if math.isfinite(seconds):
            return seconds
    raise JwtRefused(JwtRefusal.MALFORMED, f"{name} is {quoted(value)}, not a time")
