"""The endpoints of one etcd cluster: a channel to each, the one in use, and the token.

One channel an endpoint instead of one balanced over all, so that the caller knows which
member failed it, can leave that one, and can see that a connection stands before a write is
sent. Channels are built here because etcd3aio's own take IPv4 addresses only and let gRPC
retry. Never retries a call; `calls` does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import grpc.aio
from etcd3aio.auth import AuthService
from etcd3aio.kv import KVService
from etcd3aio.lease import LeaseService

from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from control_plane.store.etcd.messages import LeaseKeepAliveResponse, WatchRequest, WatchResponse

Metadata: TypeAlias = tuple[tuple[str, str], ...]

_ENDPOINT = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How to trust etcd and to be trusted by it; PEM bytes.

    Without `ca` the system's authorities count; certificate and key make it mutual.
    `server_name`: the name to expect in etcd's certificate, if not the endpoint's host.
    """

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise InvalidInput(
                "tls", "a client certificate needs its key, and a key its certificate"
            )

    @classmethod
    def from_files(
        cls,
        *,
        ca: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        server_name: str | None = None,
    ) -> Tls:
        """The same from PEM files. Raises OSError where one cannot be read."""
        return cls(
            ca=ca.read_bytes() if ca else None,
            certificate=certificate.read_bytes() if certificate else None,
            key=key.read_bytes() if key else None,
            server_name=server_name,
        )


def channel_options(keepalive_s: float) -> list[tuple[str, str | int]]:
    """gRPC channel arguments. `keepalive_s`: between pings on a connection with calls.

    A connection is given up `keepalive_s` + 3 s after the other side fell silent; that is
    what notices a dead watch. etcd refuses pings more often than every 5 s, or on an idle
    connection (embed.DefaultGRPCKeepAliveMinTime, PermitWithoutStream), so neither is done.
    """
    return [
        ("grpc.keepalive_time_ms", int(keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", 3_000),
        # Of any ping. A keepalive waits for gRPC's own bandwidth probe to be answered or to
        # time out, by default after a minute.
        ("grpc.http2.ping_timeout_ms", 3_000),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.http2.max_pings_without_data", 0),  # a quiet watch sends no data for hours
        ("grpc.enable_retries", 0),  # what may be sent twice is decided here, not below
        ("grpc.max_receive_message_length", -1),  # etcd limits requests, not answers
        ("grpc.max_send_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1_000),  # also the time a connection may take
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.use_local_subchannel_pool", 1),  # two stores share no connection
        ("grpc.enable_http_proxy", 0),  # etcd is never behind the web proxy
    ]


class Member:
    """One endpoint: its channel, the package's services on it, and the two calls that are
    made without them (Txn as raw bytes; Watch, whose resuming the package gets wrong)."""

    __slots__ = ("address", "auth", "channel", "kv", "lease", "txn", "watch")

    def __init__(self, address: str, tls: Tls | None, keepalive_s: float) -> None:
        options = channel_options(keepalive_s)
        if tls is None:
            channel = grpc.aio.insecure_channel(address, options=options)
        else:
            if tls.server_name:
                options.append(("grpc.ssl_target_name_override", tls.server_name))
            credentials = grpc.ssl_channel_credentials(tls.ca, tls.key, tls.certificate)
            channel = grpc.aio.secure_channel(address, credentials, options=options)
        self.address = address
        self.channel = channel
        self.kv = KVService(channel, max_attempts=1)
        self.lease = LeaseService(channel, max_attempts=1)
        self.auth = AuthService(channel, max_attempts=1)
        self.txn: Any = channel.unary_unary("/etcdserverpb.KV/Txn")  # bytes in, bytes out
        self.watch: Any = channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=WatchRequest.SerializeToString,
            response_deserializer=WatchResponse.FromString,
        )

    async def keep_alive(self, lease: int, timeout_s: float) -> LeaseKeepAliveResponse:
        """One renewal of a lease: a stream of one request and one response."""
        stream = self.lease.keep_alive(lease)
        try:
            async with asyncio.timeout(timeout_s):
                answer = await stream.read()
        finally:
            stream.cancel()
        if answer is grpc.aio.EOF:
            raise TimeoutError("etcd ended the keep-alive without an answer")
        return answer

    async def ready(self, within_s: float) -> bool:
        """Whether the connection stands, after waiting `within_s` for it at most. False at
        once while the last attempt has failed and the next one is not due."""
        state = self.channel.get_state(try_to_connect=True)  # 0.1 us
        if state is grpc.ChannelConnectivity.READY:
            return True
        try:
            async with asyncio.timeout(within_s):
                while state in (
                    grpc.ChannelConnectivity.IDLE,
                    grpc.ChannelConnectivity.CONNECTING,
                ):
                    await self.channel.wait_for_state_change(state)
                    state = self.channel.get_state(try_to_connect=True)
        except TimeoutError:
            return False
        except grpc.aio.UsageError:  # the channel was closed while we waited
            return False
        return state is grpc.ChannelConnectivity.READY


class Members:
    """All endpoints. Calls go to `current` until somebody reports it as failed."""

    def __init__(self, endpoints: Sequence[str], *, tls: Tls | None, keepalive_s: float) -> None:
        if not endpoints:
            raise InvalidInput("store", "no etcd endpoint given; name at least one host:port")
        for endpoint in endpoints:
            check_endpoint(endpoint)
        self._members = [Member(e, tls, keepalive_s) for e in dict.fromkeys(endpoints)]
        self._at = 0
        self.token: str | None = None
        self.metadata: Metadata | None = None  # of the calls that bypass the services
        self.closed = False

    def __len__(self) -> int:
        return len(self._members)

    @property
    def current(self) -> Member:
        return self._members[self._at]

    @property
    def addresses(self) -> str:
        return ", ".join(member.address for member in self._members)

    def leave(self, member: Member) -> None:
        """Moves on to the next endpoint, unless somebody left `member` already."""
        if self.current is member:
            self._at = (self._at + 1) % len(self._members)

    def use_token(self, token: str | None) -> None:
        """Sends `token` with every call from now on."""
        self.token = token
        self.metadata = (("token", token),) if token else None
        for member in self._members:
            member.kv.set_token(token)
            member.lease.set_token(token)

    def ended_call(self) -> bool:
        """Whether the CancelledError at hand is how grpc.aio tells a call that its channel
        was closed, instead of the cancellation of the task that awaits it."""
        task = asyncio.current_task()
        return self.closed and not (task is not None and task.cancelling())

    async def close(self) -> None:
        """Ends all connections and with them all calls."""
        self.closed = True
        for member in self._members:
            await member.channel.close()


def check_endpoint(endpoint: str) -> str:
    """The endpoint itself, when it is host:port with a port from 1 to 65535."""
    found = _ENDPOINT.match(endpoint)
    if not found or not 0 < int(found[1]) < 65536:
        raise InvalidInput(
            "store",
            f"{quoted(endpoint)} is not an etcd endpoint; write host:port, for example "
            "etcd-1.example.net:2379 or [2001:db8::1]:2379",
        )
    return endpoint
