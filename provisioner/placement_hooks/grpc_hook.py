"""GrpcHook: a hook over gRPC, at the one address that the operator's file names.

Nothing leads elsewhere: no redirect, proxy or service configuration of the environment is followed,
and no call is repeated.
"""

from __future__ import annotations

from collections.abc import Callable

import grpc
from grpc import aio

from homeport.api.hook.v1 import hook_pb2 as pb
from homeport.api.hook.v1 import hook_pb2_grpc as pb_grpc
from provisioner.placement.hooks import HookAnswer
from provisioner.placement_hooks.port import HookFailed, HookQuestion

MOST_BYTES = 64 << 10  # of an answer
OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", MOST_BYTES),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
_TOLD = 200  # characters of what a hook says of its own failure


class GrpcHook:
    """connect: opens a channel; it is opened with the first question."""

    def __init__(self, connect: Callable[[], aio.Channel]) -> None:
        self._connect = connect
        self._channel: aio.Channel | None = None

    async def rank(self, question: HookQuestion, *, timeout_s: float) -> HookAnswer:
        """See Hook."""
        if self._channel is None:
            self._channel = self._connect()
        stub = pb_grpc.PlacementHookServiceStub(self._channel)
        try:
            said = await stub.RankUnits(request_of(question), timeout=timeout_s)
        except grpc.RpcError as error:
            code = error.code()
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TimeoutError from None
            told = (error.details() or "")[:_TOLD]
            raise HookFailed(f"{code.name} {told}") from None
        return HookAnswer(
            order=tuple(said.order),
            vetoed=frozenset(said.vetoed),
            asked=frozenset(one.unit for one in question.candidates),
        )

    async def close(self) -> None:
        """See Hook."""
        if self._channel is not None:
            await self._channel.close()


def request_of(question: HookQuestion) -> pb.RankUnitsRequest:
    """What is asked: places as coarse as a client's record keeps them."""
    at = question.location
    request = pb.RankUnitsRequest(
        tenant=question.tenant,
        client_id=question.client_id,
        country=at.country,
        continent=at.continent,
        uncertainty_km=float(round(at.uncertainty_km)),
        candidates=[
            pb.CandidateUnit(
                unit_id=one.unit,
                distance_km=-1.0 if one.distance_km is None else round(one.distance_km),
                load=round(one.load, 2),
            )
            for one in question.candidates
        ],
        attributes=dict(question.told.attributes),
        groups=question.told.groups,
    )
    if at.latitude is not None and at.longitude is not None:
        request.latitude, request.longitude = round(at.latitude, 1), round(at.longitude, 1)
    return request


def tls_channel(
    endpoint: str, ca: bytes, certificate: bytes | None, key: bytes | None
) -> aio.Channel:
    """To host:port, whose certificate is of `ca` (PEM) and names the host. certificate, key: shown
    to a hook that asks for them."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=ca, private_key=key, certificate_chain=certificate
    )
    return aio.secure_channel(endpoint, credentials, options=OPTIONS)


def plain_channel(endpoint: str) -> aio.Channel:
    """To a hook on this machine."""
    return aio.insecure_channel(endpoint, options=OPTIONS)
