"""How an instruction travels: as a JWT that the decision service signs and a platform checks.

EdDSA (RFC 8037), typed apart from tickets and orders (RFC 8725, section 3.11: another `typ`,
another `iss`), for exactly one platform, good until the instruction's deadline. It carries the
fencing token of the partition that decided: whoever has been replaced is not followed any more.
A refusal is a result with a reason, and each reason asks for something different.

The secret stays with the decision service; platforms know public keys, by id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from control_plane.errors import InvalidInput
from control_plane.identity import jws
from control_plane.identity.jws import EDDSA, UNREADABLE, EddsaSigner, base64url
from data_sharing.instruction import Cause, Instruction

INSTRUCTION_ISSUER = "homeport-decisions"
INSTRUCTION_TYPE = "homeport-instruction+jwt"
MAX_INSTRUCTION_BYTES = 256 * 1024
LEEWAY_MS = 5_000  # how far clocks may be apart
KEY_BYTES = 32


class RefusalReason(StrEnum):
    """Why an instruction is not followed. The first six are seen by the signed form alone."""

    MALFORMED = "malformed"
    FORGED = "forged"
    WRONG_PLATFORM = "wrong-platform"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    STALE_FENCE = "stale-fence"
    REPLAYED = "replayed"  # its id was used for another instruction
    NOT_HOSTED = "not-hosted"
    BUSY = "busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionRefusal:
    """A refusal of a platform. `instruction` is empty where nobody signed for it."""

    reason: RefusalReason
    message: str
    instruction: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An instruction on its way to one platform."""

    instruction: Instruction
    platform: str
    partition: str
    fence: int  # grows with each worker that takes the partition over
    attempt: int  # from 1; a higher one runs it again, where that is allowed
    trace: str = ""  # of its sending; no part of what is ordered


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Cause(msgspec.Struct, array_like=True):
    source: str
    id: str
    type: str
    position: _Count


class _Claims(msgspec.Struct, omit_defaults=True):
    iss: str
    aud: str
    sub: str  # tenant
    jti: str
    iat: _Count
    exp: _Count
    deadline_ms: _Count
    decided_ms: _Count
    partition: str
    fence: _Count
    attempt: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    app: str
    ver: str
    artifact: str
    action: str
    conf: dict[str, Any]
    idempotent: bool
    rule: str = ""
    rule_version: _Count = 0
    plan: str = ""
    occurrence_ms: _Count = 0
    only: str = ""
    mod: dict[str, Any] | None = None
    causes: list[_Cause] = []
    trace: str = ""


_read_claims = msgspec.json.Decoder(_Claims).decode
_write = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """The decision service's key."""

    key_id: str
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def of(cls, seed: bytes) -> SigningKey:
        """The key of 32 random bytes; its id is a function of its public half."""
        private = Ed25519PrivateKey.from_private_bytes(seed)
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return cls(key_id="d-" + base64url(public[:9]).decode(), private=private)

    def public_bytes(self) -> bytes:
        """The raw public half: 32 bytes."""
        return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def sign(delivery: Delivery, key: SigningKey, now_ms: int) -> str:
    """The compact form, for the platform of the delivery. The names in it have been checked."""
    what = delivery.instruction
    claims = _Claims(
        iss=INSTRUCTION_ISSUER,
        aud=delivery.platform,
        sub=what.tenant,
        jti=what.id,
        iat=now_ms // 1000,
        exp=-(-what.deadline_ms // 1000),
        deadline_ms=what.deadline_ms,
        decided_ms=what.decided_at_ms,
        partition=delivery.partition,
        fence=delivery.fence,
        attempt=delivery.attempt,
        app=what.application,
        ver=what.version,
        artifact=what.artifact,
        action=what.action,
        conf=dict(what.configuration),
        idempotent=what.idempotent,
        rule=what.rule,
        rule_version=what.rule_version,
        plan=what.plan,
        occurrence_ms=what.occurrence_ms,
        only=what.platform,
        mod=None if what.modification is None else dict(what.modification),
        causes=[_Cause(*cause) for cause in what.causes],
        trace=delivery.trace,
    )
    signer = EddsaSigner(key.private, key_id=key.key_id, typ=INSTRUCTION_TYPE)
    return signer.sign(_write(claims))


_MALFORMED = InstructionRefusal(
    reason=RefusalReason.MALFORMED, message="this is not an instruction of a decision service"
)
_FORGED = InstructionRefusal(
    reason=RefusalReason.FORGED,
    message="the instruction's signature does not hold, or its key is not known here; "
    "connect again to learn the service's keys",
)


class InstructionVerifier:
    """What one platform makes of a signed instruction: checks all that the signed form and
    the clock can tell. Fences and ids that were seen are the journal's business."""

    def __init__(self, tenant: str, platform: str, keys: Mapping[str, bytes]) -> None:
        """`keys`: raw Ed25519 public keys by id."""
        self._tenant = tenant
        self._platform = platform
        self.use(keys)

    def use(self, keys: Mapping[str, bytes]) -> None:
        """From now on these keys count and no others. Raises InvalidInput for bytes that are
        no key, and then nothing has changed."""
        try:
            self._checks = {name: jws.eddsa_check(key) for name, key in keys.items()}
        except ValueError as error:
            raise InvalidInput("keys", f"an instruction key {error}") from error

    def check(self, token: str, now_ms: int) -> Delivery | InstructionRefusal:
        """The delivery, or why it is refused; `now_ms` in Unix ms. Nothing of a token that
        nobody signed is repeated in the refusal."""
        found = jws.parse(token, max_bytes=MAX_INSTRUCTION_BYTES)
        if found is None:
            return _MALFORMED
        header, content, signed, signature = found
        if header.typ != INSTRUCTION_TYPE or header.alg != EDDSA:
            return _MALFORMED
        check = self._checks.get(header.kid)
        if check is None or not check(signed, signature):
            return _FORGED
        try:
            claims = _read_claims(content)
        except UNREADABLE:
            return _MALFORMED
        return self._judge(claims, now_ms)

    def _judge(self, claims: _Claims, now_ms: int) -> Delivery | InstructionRefusal:
        """What is to be said about claims that the service signed."""

        def refused(reason: RefusalReason, message: str) -> InstructionRefusal:
            return InstructionRefusal(
                reason=reason, message=message, instruction=claims.jti, attempt=claims.attempt
            )

        if claims.iss != INSTRUCTION_ISSUER:
            return _MALFORMED
        if claims.aud != self._platform or claims.sub != self._tenant:
            return refused(
                RefusalReason.WRONG_PLATFORM,
                "the instruction is for another platform; send it there",
            )
        if now_ms > claims.deadline_ms:
            late_ms = now_ms - claims.deadline_ms
            return refused(
                RefusalReason.EXPIRED,
                f"the instruction's deadline passed {late_ms / 1000:.1f} s ago",
            )
        if now_ms < claims.iat * 1000 - LEEWAY_MS:
            return refused(
                RefusalReason.NOT_YET_VALID,
                "the instruction is from the future; check the clocks of both sides",
            )
        return Delivery(
            instruction=Instruction(
                id=claims.jti,
                tenant=claims.sub,
                application=claims.app,
                version=claims.ver,
                artifact=claims.artifact,
                action=claims.action,
                configuration=claims.conf,
                deadline_ms=claims.deadline_ms,
                idempotent=claims.idempotent,
                decided_at_ms=claims.decided_ms,
                rule=claims.rule,
                rule_version=claims.rule_version,
                plan=claims.plan,
                occurrence_ms=claims.occurrence_ms,
                platform=claims.only,
                modification=claims.mod,
                causes=tuple(
                    Cause(cause.source, cause.id, cause.type, cause.position)
                    for cause in claims.causes
                ),
            ),
            platform=claims.aud,
            partition=claims.partition,
            fence=claims.fence,
            attempt=claims.attempt,
            trace=claims.trace,
        )
