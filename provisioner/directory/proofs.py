"""Proofs: that somebody controls an address or a number, by a code that is sent there.

A proof that is pending reserves nothing, so nobody can squat on what they cannot read. Codes have
8 digits; a try is counted in the store before it is answered, five in a day for each account and
identifier, whatever codes are sent. So are the codes: those that one account has sent, and those
that one address is sent by all together.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest

import msgspec

from control_plane import faultpoints, keys
from control_plane.errors import (
    Conflict,
    DataLoss,
    Exhausted,
    InvalidInput,
    ServiceError,
    Unavailable,
)
from control_plane.identifiers.identifier import Identifier, IdentifierKind
from control_plane.identity.pepper_ring import DirectorySecrets
from control_plane.store.damaged import UNREADABLE
from control_plane.store.port import (
    Compare,
    Delete,
    Get,
    KeyValue,
    LeaseLost,
    OutcomeUnknown,
    Put,
    StoreUnavailable,
    Txn,
    absent,
    unchanged,
)
from control_plane.store.shared_lease import SharedLease
from provisioner.directory.accounts import AccountView, ActingUnit, check_home, view_account
from provisioner.directory.claim_rules import DAY_MS, ClaimNotAllowed
from provisioner.directory.claims import MOST_IDENTIFIERS
from provisioner.directory.code_sender import CodeSender
from provisioner.directory.proved_claims import NOT_PROVED, Proved, ProvedClaims
from provisioner.directory.registrar import ATTEMPTS

log = logging.getLogger(__name__)

DIGITS = 8
TRIES = 5
CODE_S = 15 * 60.0
CODES_A_DAY = 5  # one account, to one identifier
CODES_TO_ONE = 20  # to one identifier in a day, whoever asks
SEND_S = 15.0
_INSTEAD = {
    IdentifierKind.EMAIL: "addresses; its operator gives it a mail relay by "
    "--directory-mail-relay, or to `homeport up` by --mail-relay",
    IdentifierKind.PHONE: "numbers; its operator gives it a line to telephones by "
    "--directory-text-line, or to `homeport up` by --text-line",
}
_CODE = re.compile(r"[0-9]{8}\Z")
_PURPOSE = "identifier proof v1"


class PendingProof(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """As stored, under a lease. It outlives its code, for the count of tries."""

    request: str
    code: str  # HMAC, hex
    pepper: int  # epoch of the one that it was made with
    expires_ms: int  # of the code, Unix ms
    day_ms: int  # since when tries and codes are counted
    tries: int = 0
    codes: int = 1
    sent: bool = False  # whether the code is known to be on its way


class SentCodes(msgspec.Struct, frozen=True, kw_only=True):
    """How many codes one identifier was sent, whoever asked."""

    day_ms: int
    codes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunProof:
    """channel: how the code travels, such as `mail`."""

    channel: str
    expires_ms: int
    tries_left: int


class WrongCode(ClaimNotAllowed):
    """The code is another one; the try is counted."""

    def __init__(self, tries_left: int) -> None:
        left = f"{tries_left} more today" if tries_left else "no more today"
        super().__init__("WRONG_CODE", f"the code is another one; it can be tried {left}")
        self.metadata = {"tries_left": str(tries_left)}


class Proofs:
    """random(n): n bytes from a cryptographic source; lease: of proofs, longer than a day."""

    def __init__(
        self,
        claims: ProvedClaims,
        sender: CodeSender,
        *,
        secrets: Callable[[], DirectorySecrets],
        lease: SharedLease,
        random: Callable[[int], bytes],
    ) -> None:
        self._claims = claims
        self._registrar = claims.registrar
        self._sender = sender
        self._secrets = secrets
        self._lease = lease
        self._random = random

    async def begin(
        self,
        tenant: str,
        account: str,
        identifier: Identifier,
        acting: ActingUnit | None,
        *,
        request: str,
    ) -> BegunProof:
        """Sends a code to an identifier. One that this request has sent already is answered.
        Raises InvalidInput; NotFound; ClaimNotAllowed where no channel leads there, or the account
        is full; Exhausted; Unavailable, OutcomeUnknown, and then the same request may be made
        again."""
        channel = self._channel(identifier)
        digest = self._secrets().digests.digest(tenant, identifier)
        kind = identifier.kind.value
        at = keys.directory_proof(tenant, kind, digest, account)
        count_at = keys.sent_codes(tenant, kind, digest)
        for _ in range(ATTEMPTS):
            view = await view_account(self._registrar.accounts, tenant, account)
            check_home(view, acting)
            self._check_room(view)
            read = await self._registrar.claims.commit(Txn(then=[Get(at), Get(count_at)]))
            pair, counted = (one[0] if one else None for one in read.results)
            now_ms, proof = self._registrar.now_ms(), _proof(pair)
            if proof and proof.sent and proof.request == request and now_ms < proof.expires_ms:
                return _begun(channel, proof)
            code = f"{int.from_bytes(self._random(8)) % 10**DIGITS:0{DIGITS}}"
            fresh = self._fresh(proof, request, now_ms)
            mac = self._mac(tenant, kind, digest, account, code, 0)
            fresh = msgspec.structs.replace(fresh, code=mac, pepper=self._secrets().epoch)
            total = _counted(counted, now_ms)
            written = await self._write(at, pair, fresh, count_at, counted, total)
            if written:
                await self._send(identifier, code, fresh, at, written)
                return _begun(channel, fresh)
        raise _busy()

    async def finish(
        self,
        tenant: str,
        account: str,
        identifier: Identifier,
        code: str,
        acting: ActingUnit | None,
        *,
        request: str,
        findable: bool,
    ) -> Proved:
        """Claims an identifier with the code that was sent to it. What this request has claimed
        already is answered. findable: whether others find the account by it. Raises InvalidInput
        for what is no code, WrongCode; ClaimNotAllowed where no code is waited for or it was tried
        too often; NotFound; Unavailable, OutcomeUnknown."""
        bare = code.replace(" ", "").replace("-", "") if len(code) <= 4 * DIGITS else ""
        if not _CODE.match(bare):
            raise InvalidInput("code", f"code has {DIGITS} digits, as it was sent")
        self._channel(identifier)
        # Of the current pepper: a proof that was begun under the one before is begun again.
        digest = self._secrets().digests.digest(tenant, identifier)
        kind = identifier.kind.value
        at = keys.directory_proof(tenant, kind, digest, account)
        for _ in range(ATTEMPTS):
            view = await self._claims.live_account(tenant, account, acting, request)
            if done := await self._claims.done(view, identifier, request):
                return done
            pair = await self._registrar.claims.get(at)
            proof = _proof(pair)
            if pair is None or proof is None or self._registrar.now_ms() >= proof.expires_ms:
                raise ClaimNotAllowed("NO_PROOF", "no code is waited for; begin a proof")
            if proof.tries >= TRIES:
                raise ClaimNotAllowed(
                    "NO_TRIES", f"codes of this identifier were tried {TRIES} times today; wait"
                )
            wanted = self._mac(tenant, kind, digest, account, bare, proof.pepper)
            if not wanted or not compare_digest(wanted, proof.code):
                if await self._count(at, pair, proof):
                    raise WrongCode(TRIES - proof.tries - 1)
                continue
            self._check_room(view)
            proved = await self._claims.claim(
                view,
                identifier,
                request=request,
                findable=findable,
                compares=(unchanged(at, pair.mod_revision),),
                writes=(Delete(at),),
            )
            if proved is not None:
                return proved
        raise _busy()

    def _channel(self, identifier: Identifier) -> str:
        if identifier.kind in NOT_PROVED:
            raise InvalidInput(
                "identifier", f"identifier is a {identifier.kind.value}, which no code is sent to"
            )
        channel = self._sender.channel(identifier)
        if not channel:
            raise ClaimNotAllowed(
                "NO_CHANNEL",
                "this server sends no codes to "
                + _INSTEAD.get(
                    identifier.kind, "that; prove an e-mail address or a telephone number"
                ),
            )
        return channel

    def _check_room(self, view: AccountView) -> None:
        others = [one for one in view.record.listed if not one.handle]
        if len(others) >= MOST_IDENTIFIERS and not view.is_former:
            raise ClaimNotAllowed(
                "TOO_MANY_IDENTIFIERS",
                f"the account has {MOST_IDENTIFIERS} identifiers, as many as it may; release one",
            )

    def _fresh(self, before: PendingProof | None, request: str, now_ms: int) -> PendingProof:
        """What is to be stored, without its code. Raises Exhausted."""
        expires_ms = now_ms + int(CODE_S * 1_000)
        if before is None or now_ms - before.day_ms >= DAY_MS:
            return PendingProof(
                request=request, code="", pepper=0, expires_ms=expires_ms, day_ms=now_ms
            )
        again_s = (before.day_ms + DAY_MS - now_ms) / 1_000
        if before.tries >= TRIES:
            raise Exhausted(
                f"codes of this identifier were tried {TRIES} times today", retry_after_s=again_s
            )
        if before.codes >= CODES_A_DAY:
            raise Exhausted(
                f"{CODES_A_DAY} codes were sent to this identifier today", retry_after_s=again_s
            )
        return msgspec.structs.replace(
            before, request=request, expires_ms=expires_ms, codes=before.codes + 1, sent=False
        )

    async def _write(
        self,
        at: bytes,
        pair: KeyValue | None,
        fresh: PendingProof,
        count_at: bytes,
        counted: KeyValue | None,
        total: SentCodes,
    ) -> int:
        """The revision of the proof; 0: something has changed meanwhile."""
        lease = await self._lease.current()
        try:
            result = await self._registrar.claims.commit(
                Txn(
                    compares=[_as_read(at, pair), _as_read(count_at, counted)],
                    then=[
                        Put(at, _encode(fresh), lease),
                        Put(count_at, _encode(total), lease),
                    ],
                )
            )
        except LeaseLost:
            self._lease.lost()
            return 0
        return result.revision if result.succeeded else 0

    async def _send(
        self, identifier: Identifier, code: str, proof: PendingProof, at: bytes, revision: int
    ) -> None:
        """Raises Unavailable where it could not be sent, for whatever reason, and then the same
        request sends another; ClaimNotAllowed where it was refused for good."""
        try:
            async with asyncio.timeout(SEND_S):
                await self._sender.send(identifier, code, lasts_s=CODE_S)
        except ServiceError:
            raise
        except TimeoutError as error:
            raise Unavailable("the code could not be sent in time; try again") from error
        except Exception as error:  # a sender's own, of which nothing is promised: logged whole
            log.exception("a sender of codes failed")
            raise Unavailable("the code could not be sent; try again") from error
        sent = msgspec.structs.replace(proof, sent=True)
        try:
            lease = await self._lease.current()
            await self._registrar.claims.commit(
                Txn(
                    compares=[unchanged(at, revision)],
                    then=[Put(at, _encode(sent), lease)],
                )
            )
        except (StoreUnavailable, OutcomeUnknown, LeaseLost):
            return  # it is on its way; a repeat of the request sends another

    async def _count(self, at: bytes, pair: KeyValue, proof: PendingProof) -> bool:
        """Whether this very try is counted. Raises StoreUnavailable; OutcomeUnknown, and then it
        may be."""
        tried = msgspec.structs.replace(proof, tries=proof.tries + 1)
        try:
            result = await self._registrar.claims.commit(
                Txn(
                    compares=[unchanged(at, pair.mod_revision)],
                    then=[Put(at, _encode(tried), pair.lease)],
                )
            )
        except LeaseLost:  # and with it the proof
            return False
        if result.succeeded:
            faultpoints.passing("proof.try.after")
        return result.succeeded

    def _mac(self, tenant: str, kind: str, digest: str, account: str, code: str, epoch: int) -> str:
        """Empty: that pepper does not count any more."""
        message = "\0".join((tenant, kind, digest, account, code)).encode()
        mac = self._secrets().mac(_PURPOSE, message, epoch=epoch)
        return mac.hex() if mac is not None else ""


_encode = msgspec.json.Encoder().encode


def _proof(pair: KeyValue | None) -> PendingProof | None:
    """Raises DataLoss."""
    try:
        return msgspec.json.decode(pair.value, type=PendingProof) if pair is not None else None
    except UNREADABLE as error:
        raise DataLoss("the record of this proof is damaged in the store; it ends by itself") from (
            error
        )


def _counted(pair: KeyValue | None, now_ms: int) -> SentCodes:
    """One more. Raises Exhausted, DataLoss."""
    if pair is None:
        return SentCodes(day_ms=now_ms, codes=1)
    try:
        before = msgspec.json.decode(pair.value, type=SentCodes)
    except UNREADABLE as error:
        raise DataLoss("the count of codes is damaged in the store; it ends by itself") from error
    if now_ms - before.day_ms >= DAY_MS:
        return SentCodes(day_ms=now_ms, codes=1)
    if before.codes >= CODES_TO_ONE:
        raise Exhausted(
            f"{CODES_TO_ONE} codes were sent to this identifier today, whoever asked for them",
            retry_after_s=(before.day_ms + DAY_MS - now_ms) / 1_000,
        )
    return msgspec.structs.replace(before, codes=before.codes + 1)


def _as_read(key: bytes, pair: KeyValue | None) -> Compare:
    return unchanged(key, pair.mod_revision) if pair is not None else absent(key)


def _begun(channel: str, proof: PendingProof) -> BegunProof:
    return BegunProof(channel=channel, expires_ms=proof.expires_ms, tries_left=TRIES - proof.tries)


def _busy() -> Conflict:
    return Conflict("others keep changing this proof, or the account; try again")
