"""Whether a server speaks TLS, asked of the server itself.

For those whose call failed because only one side does, which gRPC tells in words of its own. A TLS
handshake that is answered, or refused in TLS's own records, means that it speaks TLS. Nothing is
sent but the handshake.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

import grpc
from grpc import aio

PROBE_S = 2.0


async def one_sided_tls(error: aio.AioRpcError, server: str, *, secured: bool) -> str:
    """What to say where a call to host:port failed because only one side speaks TLS; empty: that
    is not it. secured: whether this side does."""
    if error.code() is not grpc.StatusCode.UNAVAILABLE:
        return ""
    speaks = await asyncio.to_thread(speaks_tls, server)
    if speaks and not secured:
        return (
            "it speaks TLS, and this program does not: add --ca FILE with the CA of its certificate"
        )
    if speaks is False and secured:
        return (
            "this program speaks TLS (--ca), and the server does not: leave --ca out, or have the "
            "server serve TLS"
        )
    return ""


def speaks_tls(server: str) -> bool | None:
    """Whether host:port answers a TLS handshake in TLS; None: it cannot be told."""
    host, _, port = server.rpartition(":")
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    anyone.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), PROBE_S) as plain,
            anyone.wrap_socket(plain),
        ):
            return True
    except ssl.SSLEOFError:
        return False
    except ssl.SSLError as error:
        return error.reason not in _NOT_TLS
    except (ConnectionResetError, BrokenPipeError):
        return False
    except (OSError, ValueError):
        return None


# OpenSSL's words for an answer that is no record of TLS.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE",
            "PACKET_LENGTH_TOO_LONG", "UNEXPECTED_MESSAGE", "HTTPS_PROXY_REQUEST")  # fmt: skip
