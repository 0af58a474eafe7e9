"""EnrolmentGroups: symmetric keys of a tenant, with which tokens for its clients are made.

Whoever holds a group's key makes tokens without asking anybody: `hmac.<group>.<HMAC-SHA256>` over
`<tenant>/<client id>`, in base64url (RFC 2104, RFC 4648). A key is shown when it is made and never
again; it is kept in the store, wrapped where the server has a wrapping key. Servers follow the
groups through a watch, so a call costs no read; one that is removed counts no more at once.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from control_plane import keys
from control_plane.errors import AlreadyExists, DataLoss, Exhausted
from control_plane.identity.jws import UNREADABLE, base64url, from_base64url
from control_plane.identity.key_wrapping import Wrapping
from control_plane.identity.names import MAX_CLIENT_ID_BYTES
from control_plane.store.damaged import name_in
from control_plane.store.port import Delete, KeyValue, Put, Store, Txn, absent, range_all
from control_plane.store.replica import Replica

KEY_BYTES = 32
MAX_GROUPS = 100  # of a tenant
PREFIX = "hmac."
_GROUP = len(PREFIX)  # where the group's name begins
_DIGITS = 43  # of an HMAC in base64url, without its padding
_DOT = -_DIGITS - 1  # where the one before them is
_URL = bytes.maketrans(b"+/", b"-_")
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentGroup:
    """One group, as stored."""

    key: str = field(repr=False)  # base64url
    created_at: float  # Unix seconds
    attributes: dict[str, str] = field(default_factory=dict)  # that its clients are made with


class ListedGroup(NamedTuple):
    """A group without its key. created_at: Unix seconds."""

    name: str
    created_at: float
    attributes: Mapping[str, str]


_decoder = msgspec.json.Decoder(EnrolmentGroup)


class _UsableGroup:
    """A group with its key ready: the pads of its HMAC are hashed once, which halves the time."""

    __slots__ = ("attributes", "created_at", "inner", "outer")

    def __init__(self, group: EnrolmentGroup) -> None:
        """Raises ValueError for a key that is none."""
        self.created_at = group.created_at
        self.attributes: Mapping[str, str] = group.attributes
        padded = from_base64url(group.key).ljust(64, b"\0")  # RFC 2104, a key of one block at most
        self.inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self.outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))


class EnrolmentGroups:
    """One per server; `run` is a task of the owner's. random(n): n bytes from a cryptographic
    source; wall: Unix seconds."""

    def __init__(
        self,
        store: Store,
        wrapping: Wrapping,
        *,
        random: Callable[[int], bytes],
        wall: Callable[[], float],
        most: int = MAX_GROUPS,
    ) -> None:
        """most: groups of a tenant."""
        self._store = store
        self._most = most
        self._wrapping = wrapping
        self._random = random
        self._wall = wall
        self._replica = Replica(store, keys.ENROLMENT_GROUPS, self._decode)
        self._usable = self._replica.items  # by tenant/group

    async def start(self) -> None:
        """Reads all groups. Raises StoreUnavailable; then `run` does, when the store is there."""
        await self._replica.start()

    async def run(self) -> None:
        """Follows the store for ever."""
        await self._replica.run()

    def proves(self, token: str, tenant: str, client_id: str) -> bool:
        """Whether this token was made for this client with the key of one of the tenant's
        groups. What is too long to be any client's id is not even hashed."""
        if (
            not token.startswith(PREFIX)
            or not token.isascii()
            or len(client_id) > MAX_CLIENT_ID_BYTES
        ):
            return False
        group = self._usable.get(f"{tenant}/{token[_GROUP:_DOT]}")
        if group is None or token[_DOT] != ".":
            return False
        inner, outer = group.inner.copy(), group.outer.copy()
        inner.update(f"{tenant}/{client_id}".encode())
        outer.update(inner.digest())
        # One text for one MAC: another way to write the same bytes is no token. The second is
        # `base64url` of it.
        return compare_digest(
            token[-_DIGITS:].encode(), b2a_base64(outer.digest())[:_DIGITS].translate(_URL)
        )

    def gives(self, token: str, tenant: str) -> Mapping[str, str]:
        """The attributes with which a client is made for whom this token was made."""
        group = self._usable.get(f"{tenant}/{token[_GROUP:_DOT]}")
        return group.attributes if group is not None else {}

    async def add(self, tenant: str, name: str, attributes: Mapping[str, str] = _NONE) -> str:
        """Makes a group and returns its key, in base64url. attributes: checked. Raises
        AlreadyExists, Exhausted, StoreUnavailable, OutcomeUnknown."""
        there = await self.list(tenant)
        if len(there) >= self._most:
            raise Exhausted(
                f"tenant {tenant} has {self._most} groups, as many as it may; remove one"
            )
        key = base64url(self._random(KEY_BYTES)).decode()
        group = EnrolmentGroup(key=key, created_at=self._wall(), attributes=dict(attributes))
        record = msgspec.json.encode(group)
        at = keys.enrolment_group(tenant, name)
        put = Put(at, self._wrapping.wrap(record))
        result = await self._store.commit(Txn(compares=[absent(at)], then=[put]))
        if not result.succeeded:
            raise AlreadyExists(
                f"group {name} of tenant {tenant} is there already; remove it first"
            )
        await self._replica.wait_for_revision(result.revision, timeout_s=1.0)
        return key

    async def list(self, tenant: str) -> list[ListedGroup]:
        """By name."""
        prefix = keys.enrolment_group(tenant, "")
        page = await range_all(self._store, prefix)
        found = []
        for pair in page.items:
            if (name := name_in(pair.key, prefix)) is not None:
                group = self._decode(pair)
                found.append(ListedGroup(name, group.created_at, group.attributes))
        return found

    async def remove(self, tenant: str, name: str) -> bool:
        """Whether there was one. Clients that have enrolled stay."""
        at = keys.enrolment_group(tenant, name)
        there = await self._store.get(at) is not None
        result = await self._store.commit(Txn(then=[Delete(at)]))
        await self._replica.wait_for_revision(result.revision, timeout_s=1.0)
        return there

    def _decode(self, pair: KeyValue) -> _UsableGroup:
        """Raises DataLoss, InvalidInput."""
        name = pair.key.decode(errors="replace")
        content = self._wrapping.unwrap(pair.value, f"the record {name}")
        try:
            return _UsableGroup(_decoder.decode(content))
        except UNREADABLE as error:  # msgspec's errors among them
            raise DataLoss(
                f"the record {name} is damaged; remove the group, make another"
            ) from error
