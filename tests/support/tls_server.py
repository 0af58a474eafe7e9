"""SecuredServer: a server of ours on either transport, with or without TLS, whose methods tell
what they know of their peer: hot, unary and of all kinds of stream."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc import aio

from control_plane.serving.calls import HotCall
from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.peer_identity import PeerIdentity, identity_of
from control_plane.serving.server import Server, Service, Transport
from control_plane.serving.tls import LOOK_EVERY_S, TlsFiles
from tests.support.certificates import Authority

NAME = "test.Peers"
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
HOT = "hot"
LATE_S = 20.0


def told(peer: str, identity: PeerIdentity | None, metadata: Any) -> bytes:
    names = [key for key, _ in metadata]
    return json.dumps([peer, None if identity is None else str(identity), names]).encode()


class Peers:
    """What each method answers, whatever it is asked."""

    def hot(self, call: HotCall) -> None:
        call.reply(told(call.peer(), call.peer_identity(), call.metadata()))

    def of(self, context: Any) -> bytes:
        return told(context.peer(), identity_of(context), context.invocation_metadata())

    async def unary_unary(self, request: bytes, context: Any) -> bytes:
        return self.of(context)

    async def unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield self.of(context)

    async def stream_unary(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        async for _ in requests:
            pass
        return self.of(context)

    async def stream_stream(
        self, requests: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes]:
        async for request in requests:
            yield self.of(context) if request == b"who" else request

    def add(self, servicer: Any, server: Any) -> None:
        made = {
            kind: getattr(grpc, f"{kind}_rpc_method_handler")(getattr(self, kind)) for kind in KINDS
        }
        server.add_registered_method_handlers(NAME, made)


@asynccontextmanager
async def serving_peers(
    transport: Transport,
    files: TlsFiles | None,
    listen: str = "127.0.0.1:0",
    *,
    limits: ConnectionLimits | None = None,
) -> AsyncIterator[str]:
    """host:port of a running server."""
    peers = Peers()
    service = Service(add=peers.add, servicer=peers, name=NAME, hot={HOT: peers.hot})
    server = Server([service], transport=transport, tls=files, limits=limits)
    port = server.bind(listen)
    await server.start()
    await server.ready()
    try:
        yield f"{listen.rpartition(':')[0]}:{port}"
    finally:
        await server.stop(0.0)


def server_files(
    authority: Authority, folder: Path, *, mutual: bool, look_every_s: float = LOOK_EVERY_S
) -> TlsFiles:
    """Of a new certificate for loopback; mutual: callers must show one of the same CA."""
    certificate, key = authority.write(folder, "server")
    ca = folder / "ca.pem"
    ca.write_bytes(authority.certificate)
    shown = (certificate, key, ca if mutual else None)
    return TlsFiles(*shown, clock=time.monotonic, look_every_s=look_every_s)


async def ask(channel: aio.Channel, kind: str) -> tuple[str, str | None, list[str]]:
    """Peer, identity and names of the metadata, as a method of this kind knows them."""
    metadata = (("mine", "1"), ("mine", "2"), ("homeport-connection", "guess"))
    if kind in (HOT, "unary_unary"):
        call: Any = channel.unary_unary(f"/{NAME}/{kind}")
        answer = await call(b"who", timeout=LATE_S, metadata=metadata)
    else:
        request: Any = iter([b"who"]) if kind.startswith("stream") else b"who"
        call = getattr(channel, kind)(f"/{NAME}/{kind}")(request, timeout=LATE_S, metadata=metadata)
        answer = await call if kind.endswith("unary") else await anext(aiter(call))
    peer, identity, names = json.loads(answer)
    return peer, identity, names
