"""Key wrapping: keys encrypted where they are kept, in the store or in a file.

With a wrapping key, of a file or derived from a passphrase, a key ring or a signing key is
encrypted and authenticated with AES-256-GCM (NIST SP 800-38D), so that whoever reads the store, a
disk, its backups or a snapshot cannot make tickets or sign instructions. What is not wrapped yet is
read as it is, and wrapped when it is written next. A passphrase becomes a key by scrypt (RFC 7914),
once for each salt.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from control_plane.errors import InvalidInput
from control_plane.secret_files import read_secret

KEY_BYTES, NONCE_BYTES, SALT_BYTES = 32, 12, 16
# 32 MiB and a tenth of a second: RFC 7914 calls r = 8, p = 1 fit for interactive use.
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 15, 8, 1
LEAST_PASSPHRASE = 12
_CONTEXT = b"homeport key ring v1"


class _Wrapped(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is stored. key: which one, without telling it; salt: of a passphrase, else empty."""

    wrapped: int  # the version of this form: 1
    key: str
    salt: bytes = b""
    nonce: bytes
    content: bytes


class Wrapping(Protocol):
    """How keys are kept."""

    def wrap(self, content: bytes) -> bytes:
        """As it is to be written."""
        ...

    def unwrap(self, content: bytes, source: str) -> bytes:
        """As it was. Raises InvalidInput that names the source, where it is wrapped with another
        key, or altered."""
        ...

    def is_current(self, content: bytes) -> bool:
        """Whether what could be unwrapped stands as it would be written now."""
        ...


class NoWrapping:
    """Kept as it is; and what is wrapped cannot be read."""

    def wrap(self, content: bytes) -> bytes:
        return content

    def unwrap(self, content: bytes, source: str) -> bytes:
        if _wrapped(content) is not None:
            raise InvalidInput(
                "key_wrapping_file",
                f"{source} is wrapped; name the wrapping key with --key-wrapping-file, or give its "
                "passphrase",
            )
        return content

    def is_current(self, content: bytes) -> bool:
        return True


class KeyWrapping:
    """Wraps with a key of 32 bytes; keys that came before are only read with. random(n): n bytes
    from a cryptographic source."""

    def __init__(
        self, key: bytes, *before: bytes, random: Callable[[int], bytes], salt: bytes = b""
    ) -> None:
        self._keys = {_name_of(one): one for one in (key, *before)}
        self._name, self._salt, self._random = _name_of(key), salt, random

    def wrap(self, content: bytes) -> bytes:
        """See Wrapping."""
        nonce = self._random(NONCE_BYTES)
        sealed = AESGCM(self._keys[self._name]).encrypt(nonce, content, _CONTEXT)
        return msgspec.json.encode(
            _Wrapped(wrapped=1, key=self._name, salt=self._salt, nonce=nonce, content=sealed)
        )

    def unwrap(self, content: bytes, source: str) -> bytes:
        """See Wrapping."""
        found = _wrapped(content)
        if found is None:
            return content
        key = self._keys.get(found.key)
        if key is None:
            raise InvalidInput(
                "key_wrapping_file",
                f"{source} is wrapped with the key {found.key}; the one given is {self._name}: "
                "give the right key or passphrase",
            )
        return _opened(key, found, source)

    def is_current(self, content: bytes) -> bool:
        """See Wrapping."""
        found = _wrapped(content)
        return found is not None and found.key == self._name


class PassphraseWrapping:
    """Wraps with a key made of a passphrase; the salt is that of what was read last, so that
    servers with one passphrase share a key and each derives it once."""

    def __init__(self, passphrase: str, *, random: Callable[[int], bytes]) -> None:
        """Raises InvalidInput for one that is too short to be worth anything."""
        if len(passphrase) < LEAST_PASSPHRASE:
            raise InvalidInput(
                "key_wrapping_passphrase",
                f"the passphrase is shorter than {LEAST_PASSPHRASE} characters; take a longer one",
            )
        self._passphrase = passphrase.encode()
        self._random = random
        self._salt = b""
        self._keys: dict[bytes, bytes] = {}  # by salt; as many as there were first writers at once

    def wrap(self, content: bytes) -> bytes:
        """See Wrapping. A tenth of a second for the first time."""
        self._salt = self._salt or self._random(SALT_BYTES)
        key = self._key(self._salt)
        return KeyWrapping(key, random=self._random, salt=self._salt).wrap(content)

    def unwrap(self, content: bytes, source: str) -> bytes:
        """See Wrapping. A tenth of a second for a salt that is new."""
        found = _wrapped(content)
        if found is None:
            return content
        if len(found.salt) != SALT_BYTES:
            raise InvalidInput(
                "key_wrapping_passphrase",
                f"{source} is wrapped with a key of a file, not with a passphrase; "
                "name it with --key-wrapping-file",
            )
        key = self._key(found.salt)
        if _name_of(key) != found.key:
            self._keys.pop(found.salt, None)
            raise InvalidInput(
                "key_wrapping_passphrase", f"{source} is wrapped with another passphrase"
            )
        opened = _opened(key, found, source)
        self._salt = found.salt
        return opened

    def is_current(self, content: bytes) -> bool:
        """See Wrapping."""
        return _wrapped(content) is not None

    def _key(self, salt: bytes) -> bytes:
        key = self._keys.get(salt)
        if key is None:
            derive = Scrypt(salt=salt, length=KEY_BYTES, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P)
            key = self._keys[salt] = derive.derive(self._passphrase)
        return key


def read_wrapping(
    file: Path | None, passphrase: str, *, random: Callable[[int], bytes]
) -> Wrapping:
    """By a file of base64 keys of 32 bytes, separated by commas: the first wraps, the others are
    only read with; or by a passphrase; or none. Raises InvalidInput."""
    if file is not None and passphrase:
        raise InvalidInput(
            "key_wrapping_file", "a wrapping key and a passphrase are both given; leave one out"
        )
    if passphrase:
        return PassphraseWrapping(passphrase, random=random)
    if file is None:
        return NoWrapping()
    found = []
    for part in read_secret("key_wrapping_file", file).split(","):
        try:
            key = base64.b64decode(part.strip(), validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise InvalidInput(
                "key_wrapping_file",
                f"{file} must hold 32 bytes in base64 (make them with "
                "`head -c 32 /dev/urandom | base64`); older keys may follow, after commas",
            )
        found.append(key)
    return KeyWrapping(*found, random=random)


def _name_of(key: bytes) -> str:
    """Tells keys apart, and nothing of them."""
    return hashlib.sha256(b"homeport wrapping key\0" + key).hexdigest()[:16]


def _wrapped(content: bytes) -> _Wrapped | None:
    """None: it is not wrapped."""
    try:
        found = msgspec.json.decode(content, type=_Wrapped)
    except msgspec.MsgspecError:
        return None
    return found if found.wrapped == 1 else None


def _opened(key: bytes, found: _Wrapped, source: str) -> bytes:
    try:
        return AESGCM(key).decrypt(found.nonce, found.content, _CONTEXT)
    except (InvalidTag, ValueError) as error:
        raise InvalidInput(
            "key_wrapping_file", f"{source} is altered: it does not open with its key"
        ) from error
