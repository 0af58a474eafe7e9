"""Whether a call failed because only one side speaks TLS, which gRPC tells in words of its own.

Asked of the server itself, once a call has failed: a TLS handshake that is answered, or refused
in TLS's own records, means that it speaks TLS. Nothing is sent but the handshake.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from console.cli.failure import CommandFailed, ExitCode
from console.cli.profile import Target
from homeport.errors import Unavailable

PROBE_S = 2.0


@contextmanager
def explaining_tls(target: Target) -> Iterator[None]:
    """Raises CommandFailed instead of Unavailable where the server and this command do not
    agree about TLS."""
    try:
        yield
    except Unavailable as error:
        said = mismatch(error, target)
        if said:
            raise CommandFailed(said, ExitCode.UNAVAILABLE) from error
        raise


def mismatch(error: Unavailable, target: Target) -> str:
    """What to say where only one side speaks TLS; empty: that is not it."""
    if error.reason:  # a Homeport server's own words: it was reached
        return ""
    server = error.server or target.server
    speaks = speaks_tls(server)
    if speaks and not target.ca:
        return (
            f"the server at {server} speaks TLS, and this command does not: add --ca FILE with "
            "the CA of its certificate, or --ca system"
        )
    if speaks is False and target.ca:
        return (
            f"this command speaks TLS (--ca {target.ca}), and the server at {server} does not: "
            "leave --ca, HOMEPORT_CA and the profile's ca out, or have the server serve TLS"
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
