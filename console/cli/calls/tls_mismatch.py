"""Whether a call failed because only one side speaks TLS, or because one side's certificate is not
trusted by the other, which gRPC tells in words of its own.

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
from control_plane.serving.tls_probe import PROBE_S, speaks_tls
from homeport.errors import Unavailable


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
    """What to say where only one side speaks TLS, or the certificate is not trusted; empty: that
    is not it."""
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
    if speaks and any(words in error.detail.lower() for words in _NOT_TRUSTED):
        why = why_not_trusted(server, target)
        return (
            f"the certificate of the server at {server} is not trusted with --ca {target.ca}"
            f"{f' ({why})' if why else ''}: give --ca FILE with the CA of that certificate, and "
            "a --server that it names"
        )
    if speaks and (why := why_turned_away(server, target)):
        shown = f"--certificate {target.certificate}" if target.certificate else "none"
        return (
            f"the server at {server} asks for a certificate, and does not take what this command "
            f"shows, {shown} ({why}): give --certificate FILE and --certificate-key FILE of a CA "
            "that the server trusts"
        )
    return ""


def why_not_trusted(server: str, target: Target) -> str:
    """OpenSSL's word for what is wrong with the server's certificate; empty: it cannot be told,
    or would be right for this system, whose roots need not be gRPC's."""
    host, _, port = server.rpartition(":")
    roots = target.root_certificates()
    context = ssl.create_default_context(cadata=roots.decode("ascii", "ignore") if roots else None)
    context.set_alpn_protocols(["h2"])
    host = host.strip("[]")
    try:
        with (
            socket.create_connection((host, int(port)), PROBE_S) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.rstrip(".")
    except (OSError, ValueError):
        return ""


def why_turned_away(server: str, target: Target) -> str:
    """How the server ends a handshake because of this side's certificate, in OpenSSL's words where
    it sends an alert; empty: it does not, or it cannot be told."""
    host, _, port = server.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        if target.certificate:
            context.load_cert_chain(target.certificate, target.certificate_key)
        with (
            socket.create_connection((host.strip("[]"), int(port)), PROBE_S) as plain,
            context.wrap_socket(plain) as secured,
        ):
            # In TLS 1.3 the alert comes after the handshake, from gRPC's servers without a word;
            # one that takes the certificate begins with its HTTP/2 settings.
            return "" if secured.recv(1) else _CLOSED
    except ssl.SSLError as error:
        reason = error.reason or ""
        return reason.lower().replace("_", " ") if reason in _TURNED_AWAY else ""
    except ConnectionResetError:
        return _CLOSED
    except (OSError, ValueError):
        return ""


# gRPC's words where it does not like the certificate; what follows them need not tell why.
_NOT_TRUSTED = ("handshake failed", "verification check failed")
_CLOSED = "it closes the connection after the handshake"
# What servers say of a certificate that is missing, not of their CA, or out of date.
_TURNED_AWAY = ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_UNKNOWN_CA",
                "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_CERTIFICATE_EXPIRED",
                "SSLV3_ALERT_CERTIFICATE_UNKNOWN", "SSLV3_ALERT_CERTIFICATE_REVOKED",
                "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "SSLV3_ALERT_HANDSHAKE_FAILURE",
                "TLSV1_ALERT_ACCESS_DENIED")  # fmt: skip
