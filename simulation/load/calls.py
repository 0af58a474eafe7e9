"""CallEncoder: from what a user wants to the bytes of its call.

Either one gateway speaks for all users, with its token, and says where each is; or each user is a
client of its own: a new one shows the token of an enrolment group, and all show their key.
A client cannot say where it is; a proxy before it can, where the server trusts the generator's
address as one.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.enrolment import hmac_token
from simulation.load.connections import PendingCall
from simulation.load.frames import grpc_headers, header_block
from simulation.load.grpc_connection import EncodedCall, encoded_call
from simulation.load.user_kinds import UserKind
from simulation.population.population import Population

SERVICE = "/homeport.api.provisioning.v1.ProvisioningService/"
ELSEWHERE = 1 << 40  # a user's other places are those of users far beyond all others


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """As whom users call. token: of a gateway; empty: none is shown. group, group_key: of an
    enrolment group; then users are clients themselves. forwarded: then they say by
    x-forwarded-for where they are. run: sets the ids of its users apart from all others'."""

    tenant: str
    run: str
    token: str = field(default="", repr=False)
    group: str = ""
    group_key: str = field(default="", repr=False)
    forwarded: bool = False


class CallEncoder:
    """Of one server and one deadline. seed: of the population."""

    def __init__(
        self,
        callers: Callers,
        population: Population,
        *,
        authority: str,
        scheme: str,
        seed: int,
        timeout_s: float,
    ) -> None:
        self._callers = callers
        self._population = population
        self._seed = seed
        shown = b""
        if callers.token and not callers.group:
            shown = header_block([("authorization", f"Bearer {callers.token}")])
        deadline = header_block([("grpc-timeout", f"{max(1, int(timeout_s * 1e3))}m")]) + shown
        self._provision = grpc_headers(f"{SERVICE}Provision", authority, scheme) + deadline
        self._release = grpc_headers(f"{SERVICE}ReleaseAssignment", authority, scheme) + deadline
        # Of a stream there is no deadline: it may have any number of batches.
        self._many = grpc_headers(f"{SERVICE}ProvisionMany", authority, scheme) + shown

    def client_id(self, user: int) -> str:
        """Of a user."""
        return f"load-{self._callers.run}-{user}"

    def address(self, user: int, place: int) -> str:
        """Where a user is."""
        return self._population.user(user + place * ELSEWHERE, self._seed).address

    def encoded(self, pending: PendingCall) -> EncodedCall:
        """What a call of the plan asks for."""
        return self.call(pending.kind, pending.user, pending.place)

    @property
    def in_bulk(self) -> bool:
        """Whether one caller may ask for many users at once."""
        return not self._callers.group

    def many(self, users: Sequence[int]) -> EncodedCall:
        """A stream of one batch: these users ask for a home from where they live."""
        asked = pb.ProvisionManyRequest(
            tenant=self._callers.tenant,
            clients=[
                pb.ClientOrigin(client_id=self.client_id(user), address=self.address(user, 0))
                for user in users
            ],
            without_tickets=True,
        )
        return encoded_call(self._many, asked.SerializeToString())

    def call(self, kind: int, user: int, place: int) -> EncodedCall:
        """What a user asks for."""
        client_id = self.client_id(user)
        as_client = bool(self._callers.group)
        if kind == UserKind.RELEASED:
            request = pb.ReleaseAssignmentRequest(
                tenant=self._callers.tenant, client_id=client_id
            ).SerializeToString()
            headers = self._release
        else:
            where = "" if as_client else self.address(user, place)
            asked = pb.ProvisionRequest(tenant=self._callers.tenant, client_id=client_id)
            if where:
                asked.address = where
            request = asked.SerializeToString()
            headers = self._provision
        if as_client:
            headers += header_block(self._shown(kind, user, place, client_id))
        return encoded_call(headers, request)

    def _shown(self, kind: int, user: int, place: int, client_id: str) -> list[tuple[str, str]]:
        callers = self._callers
        secret = hashlib.sha256(f"{callers.run}/{client_id}".encode()).digest()
        shown = [("homeport-client-key", urlsafe_b64encode(secret).rstrip(b"=").decode())]
        if kind == UserKind.NEW:
            token = hmac_token(
                group=callers.group,
                key=callers.group_key,
                tenant=callers.tenant,
                client_id=client_id,
            )
            shown.append(("authorization", f"Bearer {token}"))
        if callers.forwarded:
            shown.append(("x-forwarded-for", self.address(user, place)))
        return shown
