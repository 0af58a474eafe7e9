"""When the certificates that a process shows or checks by expire."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography import x509
from prometheus_client.core import GaugeMetricFamily


def certificate_expiry(pems: Mapping[str, bytes | None]) -> GaugeMetricFamily:
    """One family. pems: the content of files, by what they are; None: there is none."""
    expiry = GaugeMetricFamily(
        "homeport_tls_certificate_expiry_timestamp_seconds",
        "When the certificate that is shown, to callers (server) or to servers (client), or a CA"
        " of callers, expires; Unix time, the earliest of its file.",
        labels=["certificate"],
    )
    for name, pem in pems.items():
        if pem is not None:
            expiry.add_metric([name], expires_at(pem))
    return expiry


def expires_at(pem: bytes) -> float:
    """When the first certificate of a file expires, Unix time."""
    certificates = x509.load_pem_x509_certificates(pem)
    return min(one.not_valid_after_utc.timestamp() for one in certificates)
