"""KeySet: the public keys of an issuer of tokens, out of a JWK Set document (RFC 7517).

A key belongs to the algorithms of its kind and size, and the key decides (RFC 8725, sections 3.1
and 3.2): a token's `alg` only names which of them it wants. Keys for encryption, and of kinds
that are not known here, are passed over, as section 5 of RFC 7517 asks. A document that nobody
should have published, with a secret in it or a key that can be broken, is refused whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from jwt.algorithms import Algorithm, ECAlgorithm, OKPAlgorithm, RSAAlgorithm, RSAPSSAlgorithm

from control_plane.errors import InvalidInput
from control_plane.identity.jws import UNREADABLE, from_base64url
from control_plane.printable import quoted

MAX_DOCUMENT_BYTES = 256 << 10
MAX_KEYS = 64
RSA_BITS = range(2_048, 8_193)  # RFC 7518, section 3.3; above, one check takes milliseconds
RSA_EXPONENTS = range(3, 1 << 32)
MAX_KEY_ID_CHARACTERS = 512

Check: TypeAlias = Callable[[bytes, bytes], bool]  # (message, signature): was it signed

_RSA: dict[str, Algorithm] = {
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
    "RS384": RSAAlgorithm(RSAAlgorithm.SHA384),
    "RS512": RSAAlgorithm(RSAAlgorithm.SHA512),
    "PS256": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256),
    "PS384": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA384),
    "PS512": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA512),
}
_CURVES: dict[str, tuple[str, EllipticCurve, Algorithm]] = {
    "P-256": ("ES256", SECP256R1(), ECAlgorithm(ECAlgorithm.SHA256, SECP256R1)),
    "P-384": ("ES384", SECP384R1(), ECAlgorithm(ECAlgorithm.SHA384, SECP384R1)),
    "P-521": ("ES512", SECP521R1(), ECAlgorithm(ECAlgorithm.SHA512, SECP521R1)),
}
_EDDSA = OKPAlgorithm()

ALGORITHMS = frozenset({*_RSA, *(name for name, _, _ in _CURVES.values()), "EdDSA"})
"""Those that there are: asymmetric ones alone. Neither `none` nor an HMAC is among them, so a
public key is never taken for a secret."""


class _Jwk(msgspec.Struct):
    kty: str
    kid: str = ""
    use: str = ""
    alg: str = ""
    key_ops: list[str] | None = None
    crv: str = ""
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""
    d: object = None  # what makes a key a private one
    k: object = None  # a symmetric key


class _Document(msgspec.Struct):
    keys: list[_Jwk]


_decode = msgspec.json.Decoder(_Document).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """checks: by the name of each algorithm that the key is good for."""

    key_id: str
    checks: Mapping[str, Check]


class KeySet:
    """Keys by their id."""

    def __init__(self, found: Iterable[PublicKey]) -> None:
        self._keys = tuple(found)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key_id: str) -> Sequence[PublicKey]:
        """Those of this id, mostly one. An empty id means the only key there is, and where there
        are several it means none: a token has to say which."""
        if not key_id:
            return self._keys if len(self._keys) == 1 else ()
        return [key for key in self._keys if key.key_id == key_id]


def parse_jwks(document: bytes) -> KeySet:
    """The keys that signatures can be checked with; may be none. Raises InvalidInput that says
    what is wrong with the document. Takes some ms for the largest one."""
    if len(document) > MAX_DOCUMENT_BYTES:
        raise InvalidInput("jwks", f"it is larger than {MAX_DOCUMENT_BYTES:,} bytes")
    try:
        keys = _decode(document).keys
    except UNREADABLE as error:
        raise InvalidInput("jwks", f"it is no JWK Set: {error}") from error
    if len(keys) > MAX_KEYS:
        raise InvalidInput("jwks", f"it has {len(keys):,} keys; at most {MAX_KEYS} are taken")
    found = (_public_key(jwk, f"key {place + 1}") for place, jwk in enumerate(keys))
    return KeySet(key for key in found if key is not None)


def _public_key(jwk: _Jwk, where: str) -> PublicKey | None:
    """None: it is for something else, or of a kind that is not known. Raises InvalidInput."""
    if len(jwk.kid) > MAX_KEY_ID_CHARACTERS:
        raise InvalidInput("jwks", f"{where}: its kid is over {MAX_KEY_ID_CHARACTERS} characters")
    where = f"{where} ({quoted(jwk.kid)})" if jwk.kid else where
    if jwk.kty == "oct" or jwk.k is not None:
        raise InvalidInput("jwks", f"{where} is symmetric: whoever reads it could sign tokens")
    if jwk.d is not None:
        raise InvalidInput("jwks", f"{where} is a private key; publish its public part alone")
    if jwk.use not in ("", "sig") or (jwk.key_ops is not None and "verify" not in jwk.key_ops):
        return None
    try:
        checks = _checks(jwk, where)
    except (*UNREADABLE, UnsupportedAlgorithm) as error:
        raise InvalidInput("jwks", f"{where} is no key: {error}") from error
    if jwk.alg:
        checks = {name: check for name, check in checks.items() if name == jwk.alg}
    return PublicKey(key_id=jwk.kid, checks=checks) if checks else None


def _checks(jwk: _Jwk, where: str) -> dict[str, Check]:
    """Raises InvalidInput, ValueError."""
    if jwk.kty == "RSA":
        modulus, exponent = _number(jwk.n), _number(jwk.e)
        if modulus.bit_length() not in RSA_BITS:
            raise InvalidInput(
                "jwks",
                f"{where} is an RSA key of {modulus.bit_length():,} bits; "
                f"use {RSA_BITS[0]:,} to {RSA_BITS[-1]:,}",
            )
        if exponent not in RSA_EXPONENTS or not exponent % 2:
            raise InvalidInput("jwks", f"{where} has an RSA exponent that is not taken; use 65537")
        rsa = RSAPublicNumbers(exponent, modulus).public_key()
        return {name: _check(algorithm, rsa) for name, algorithm in _RSA.items()}
    if jwk.kty == "EC" and jwk.crv in _CURVES:
        name, curve, algorithm = _CURVES[jwk.crv]
        point = EllipticCurvePublicNumbers(_number(jwk.x), _number(jwk.y), curve)
        return {name: _check(algorithm, point.public_key())}
    if jwk.kty == "OKP" and jwk.crv == "Ed25519":
        return {"EdDSA": _check(_EDDSA, Ed25519PublicKey.from_public_bytes(from_base64url(jwk.x)))}
    return {}


def _check(algorithm: Algorithm, key: Any) -> Check:
    return lambda message, signature: algorithm.verify(message, key, signature)


def _number(text: str) -> int:
    """Of its bytes, the highest first. Raises ValueError."""
    return int.from_bytes(from_base64url(text))
