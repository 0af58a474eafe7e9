"""Which settings of TLS belong together, and what may listen beyond this machine.

Half a configuration is refused: a server that was given a client CA, and no certificate, would
serve everybody in the clear. So is an endpoint beyond loopback without TLS, or without tokens
where it takes them, unless somebody says that this is meant. Pure; what is wrong is a ValueError,
as validators of settings raise it.
"""

from __future__ import annotations

import ipaddress

from control_plane.printable import quoted


def check_serving_tls(certificate: object | None, key: object | None, ca: object | None) -> None:
    """The settings tls_certificate, tls_key and tls_client_ca of a server. Raises ValueError."""
    if (certificate is None) != (key is None):
        given, other = ("certificate", "key") if key is None else ("key", "certificate")
        raise ValueError(
            "--tls-certificate and --tls-key belong together: "
            f"--tls-{given} is given, add --tls-{other}"
        )
    if ca is not None and certificate is None:
        raise ValueError("--tls-client-ca needs --tls-certificate and --tls-key")


def check_shown_certificate(
    certificate: object | None, key: object | None, ca: object | None, *, prefix: str = ""
) -> None:
    """The settings certificate, certificate_key and ca of whoever calls; prefix: of their names,
    such as `store-`, where the key is then PREFIXkey. Raises ValueError."""
    check_key_pair(certificate, key, prefix=prefix)
    if certificate is not None and ca is None:
        raise ValueError(f"--{prefix}certificate needs --{prefix}ca")


def check_key_pair(certificate: object | None, key: object | None, *, prefix: str) -> None:
    """A certificate that is shown, and its key. Raises ValueError where one is there alone."""
    key_name = f"{prefix}key" if prefix else "certificate-key"
    if (certificate is None) != (key is None):
        raise ValueError(f"--{prefix}certificate and --{key_name} belong together")


def check_exposure(
    flag: str, listen: str, *, tls: bool, tokens: bool | None, insecure: bool
) -> None:
    """Of an endpoint, host:port, that answers calls. tokens None: it takes none. Raises ValueError
    where others than this machine's can reach it, and read or do what is not theirs."""
    if insecure or not listen or is_loopback(listen):
        return
    missing = [] if tls else ["--tls-certificate and --tls-key"]
    if tokens is False:
        missing.append("--tokens")
    if missing:
        raise ValueError(
            f"{flag} {quoted(listen)} can be reached from other machines, and that needs "
            f"{', and '.join(missing)}; listen on 127.0.0.1, or say --insecure where something "
            "before it does the same"
        )


def is_loopback(listen: str) -> bool:
    """Whether only programs of this machine can reach host:port. A name counts as beyond it,
    localhost alone does not: what it stands for is not looked up.

    >>> is_loopback("[::1]:7700"), is_loopback("0.0.0.0:7700"), is_loopback("[::]:7700")
    (True, False, False)
    """
    host = listen.rpartition(":")[0].strip("[]")
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
