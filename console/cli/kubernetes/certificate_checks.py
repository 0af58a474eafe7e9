"""Whether certificates that pods are given can do their work: in time, of their key, for the name
they are called by, and of a CA that the caller trusts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from console.cli.health_checks import Finding, fail, ok, warn
from console.cli.kubernetes.addresses import (
    CALLS,
    Call,
    calls_of,
    names_of_service,
    programs_behind,
    service_of,
)
from console.cli.kubernetes.command_lines import Program, programs_of
from console.cli.kubernetes.mounted_files import KeyReference
from console.cli.kubernetes.state import ClusterState, condition_of, name_of
from control_plane.certificates import check_certificate

CHECK = "certificates"
SOON = timedelta(days=14)
# Setting of a certificate, that of its key, and whether it is shown to callers.
_PAIRS = (
    ("tls_certificate", "tls_key", True),
    ("cert_file", "key_file", True),
    ("peer_cert_file", "peer_key_file", False),
    ("certificate", "certificate_key", False),
    ("unit_certificate", "unit_key", False),
    ("store_certificate", "store_key", False),
)
_AUTHORITIES = (
    "tls_client_ca", "ca", "unit_ca", "store_ca", "trusted_ca_file", "peer_trusted_ca_file",
)  # fmt: skip
_RENEW = "renew it (cert-manager: cmctl renew; else replace the Secret); servers read it at a start"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """The certificate that a program shows to its callers, with what signed it."""

    program: Program
    source: KeyReference
    chain: list[x509.Certificate]


def check_certificates(state: ClusterState, now: datetime) -> list[Finding]:
    """now: with its zone."""
    programs = programs_of(state)
    faults: list[Finding] = []
    shown: list[_Shown] = []
    seen: set[tuple[str, str | None]] = set()
    for program in programs:
        for setting, key_setting, is_shown in _PAIRS:
            source = program.file(state, setting)
            content = source.content(state) if source else None
            if source is None or content is None:
                continue
            chain, found = _read(source, content, now)
            if (source.name, source.key) not in seen:
                faults += found
                faults += _pair(state, program, source, content, key_setting)
            seen.add((source.name, source.key))
            if is_shown and chain:
                shown.append(_Shown(program=program, source=source, chain=chain))
        for setting in _AUTHORITIES:
            source = program.file(state, setting)
            content = source.content(state) if source else None
            if source is not None and content is not None and (source.name, source.key) not in seen:
                seen.add((source.name, source.key))
                faults += _read(source, content, now)[1]
    called = [call for program in programs for call in calls_of(program)]
    faults += _names(state, shown, called)
    faults += _trust(state, shown, called)
    faults += _issued(state)
    return faults or ([ok(CHECK, f"{len(seen)} in time and of their keys")] if seen else [])


def _read(
    source: KeyReference, content: bytes, now: datetime
) -> tuple[list[x509.Certificate], list[Finding]]:
    where = f"{source.key} of {source.title}"
    try:
        chain = x509.load_pem_x509_certificates(content)
    except ValueError:
        step = "put a certificate in PEM there, its chain behind it"
        return [], [fail(CHECK, f"{where} is no certificate in PEM", step)]
    first = chain[0]
    ends, begins = first.not_valid_after_utc, first.not_valid_before_utc
    if ends <= now:
        return chain, [fail(CHECK, f"{where} has expired on {_day(ends)}", _RENEW)]
    if begins > now:
        step = "wait, or check the clocks of whoever issues it and of this machine"
        return chain, [fail(CHECK, f"{where} is not valid before {_day(begins)}", step)]
    if ends - now < SOON and ends - begins > SOON:
        return chain, [warn(CHECK, f"{where} expires on {_day(ends)}", _RENEW)]
    return chain, []


def _pair(
    state: ClusterState, program: Program, source: KeyReference, content: bytes, key_setting: str
) -> Iterator[Finding]:
    key = program.file(state, key_setting)
    key_content = key.content(state) if key else None
    if key is None or key_content is None or b"BEGIN CERTIFICATE" not in content:
        return
    try:
        check_certificate(content, key_content)
    except ValueError as error:
        yield fail(
            CHECK,
            f"{source.key} of {source.title} and {key.key} of {key.title}: {error}",
            "put the certificate and its own key into the Secret, together",
        )


def _names(state: ClusterState, shown: list[_Shown], called: list[Call]) -> Iterator[Finding]:
    """Each certificate against the names by which programs here call it; where none does, against
    those of its services, of which one will do."""
    for one in shown:
        hosts = sorted({call.host for call, behind in _led(state, called, one) if behind})
        where = f"{one.source.key} of {one.source.title}, which {one.program.title} shows,"
        has = ", ".join(_names_in(one.chain[0])) or "no name"
        step = "issue it with that name among its dnsNames (values: certificates), or call by "
        for host in hosts:
            if not _covers(one.chain[0], host):
                yield fail(CHECK, f"{where} is not for {host}, only for {has}", f"{step}one of it")
        services = state.services_of(one.program.workload)
        names = [name for service in services for name in names_of_service(state, service)]
        if services and not hosts and not any(_covers(one.chain[0], name) for name in names):
            yield warn(
                CHECK,
                f"{where} is for {has}, and not for {names[2]}",
                "that is well where clients come from elsewhere by those names alone",
            )


def _trust(state: ClusterState, shown: list[_Shown], called: list[Call]) -> Iterator[Finding]:
    """Each caller's CA against what it is shown."""
    for one in shown:
        for call, behind in _led(state, called, one):
            source = call.program.file(state, CALLS[call.setting])
            content = source.content(state) if behind and source else None
            if source is None or content is None:
                continue
            try:
                trusted = x509.load_pem_x509_certificates(content)
            except ValueError:
                continue  # told already
            if not _is_signed(one.chain, trusted):
                yield fail(
                    CHECK,
                    f"{call.program.title} trusts {source.key} of {source.title}, which has not "
                    f"signed what {one.program.title} shows ({one.source.title})",
                    "give the caller the CA that issues the server's certificates",
                )


def _led(state: ClusterState, called: list[Call], one: _Shown) -> Iterator[tuple[Call, bool]]:
    """Each call, and whether it comes to this program."""
    for call in called:
        service = service_of(state, call.host)
        yield call, service is not None and bool(programs_behind(state, service, [one.program]))


def _issued(state: ClusterState) -> Iterator[Finding]:
    """What cert-manager says of certificates that it has not made."""
    for certificate in state.own("certificates"):
        ready = condition_of(certificate, "Ready")
        if ready is None or ready.get("status") == "True":
            continue
        yield fail(
            CHECK,
            f"cert-manager has not issued {name_of(certificate)}: {ready.get('message')}",
            f"see kubectl -n {state.namespace} describe certificate {name_of(certificate)}, and "
            "its issuer",
        )


def _is_signed(chain: list[x509.Certificate], trusted: list[x509.Certificate]) -> bool:
    """Whether the first one leads to a trusted one, over those behind it."""
    if chain[0] in trusted:
        return True
    current = chain[0]
    for _ in range(len(chain) + 1):
        if any(_signs(authority, current) for authority in trusted):
            return True
        above = next((one for one in chain[1:] if one != current and _signs(one, current)), None)
        if above is None:
            return False
        current = above
    return False


def _signs(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names_in(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [
        *found.get_values_for_type(x509.DNSName),
        *(str(one) for one in found.get_values_for_type(x509.IPAddress)),
    ]


def _covers(certificate: x509.Certificate, host: str) -> bool:
    """RFC 6125: a star stands for one label, the first."""
    host = host.lower().rstrip(".")
    for name in (one.lower() for one in _names_in(certificate)):
        if name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:]):
            return True
    return False


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
