"""An issuer of JWTs for tests: its keys, the documents it publishes, and the tokens it makes."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://id.example.net"
AUDIENCE = "homeport"
NOW = 1_800_000_000.0


def private_key(kind: str, number: int = 0) -> Any:
    """The same one for the same words. kind: RSA with its bits, a curve, or Ed25519."""
    return _made(kind, number)


@lru_cache
def _made(kind: str, number: int) -> Any:
    if kind.startswith("RSA"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind[3:] or 2048))
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curves = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
    return ec.generate_private_key(curves.get(kind, ec.SECP256K1)())


def jwk(kind: str, key_id: str = "k", number: int = 0, **more: Any) -> dict[str, Any]:
    """The public part, as a document has it. more: members beside it; None: without."""
    public = private_key(kind, number).public_key()
    algorithm = (
        RSAAlgorithm
        if kind.startswith("RSA")
        else OKPAlgorithm
        if kind == "Ed25519"
        else ECAlgorithm
    )
    found = {**algorithm.to_jwk(public, as_dict=True), "kid": key_id, **more}
    found.pop("key_ops", None) if "key_ops" not in more else None
    return {name: value for name, value in found.items() if value is not None}


def document(*jwks: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(jwks)}).encode()


def token(
    algorithm: str = "ES256",
    *,
    kind: str = "P-256",
    number: int = 0,
    key: Any = None,
    headers: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """A token that all is well with, but for what is said here; a claim of None is left out."""
    whole = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ann",
        "iat": NOW - 10,
        "exp": NOW + 600,
        **claims,
    }
    return jwt.encode(
        {name: value for name, value in whole.items() if value is not None},
        private_key(kind, number) if key is None else key,
        algorithm=algorithm,
        headers={
            name: value
            for name, value in {"kid": "k", **(headers or {})}.items()
            if value is not None
        },
    )
