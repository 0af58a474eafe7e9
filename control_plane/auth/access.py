"""Access: everything of a server that has to do with who calls, built of its settings."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.auth.access_control import AccessControl
from control_plane.auth.access_settings import AccessSettings
from control_plane.auth.authenticator import Authenticator, TokenSource
from control_plane.auth.callers import Caller
from control_plane.auth.certificate_callers import CertificateCallers
from control_plane.auth.interceptor import AccessInterceptor
from control_plane.auth.issuer_keys import IssuerKeys
from control_plane.auth.jwks_source import source_of
from control_plane.auth.jwt_verifier import IssuerPolicy, JwtVerifier
from control_plane.auth.method_access import access_of_services
from control_plane.auth.oidc_operators import ClaimRules, caller_of_claims, role_mapping
from control_plane.auth.open_calls import OpenCalls
from control_plane.auth.refusals import Refusals
from control_plane.auth.ticket_callers import ticket_verifier
from control_plane.auth.tokens import Tokens
from control_plane.auth.tokens_file import TokensFile
from control_plane.identity.tickets import ISSUER


class ShownTickets(NamedTuple):
    """keys: the fleet's public ones, a file or an https address; empty: no ticket counts. units:
    whose tickets do; none: all."""

    keys: str
    units: tuple[str, ...] = ()


class Access(Collector):
    """services: the full names of those that the server has. wall: Unix seconds; clock: monotonic
    seconds; clients_enrol: as Authenticator has it. tickets: by which clients are known that show
    one. Raises InvalidInput for a faulty tokens file or an address that is not taken."""

    def __init__(
        self,
        settings: AccessSettings,
        services: Iterable[str],
        *,
        wall: Callable[[], float],
        clock: Callable[[], float],
        clients_enrol: bool = False,
        tickets: ShownTickets | None = None,
    ) -> None:
        self._refusals = Refusals(clock=clock)
        self._ticket_keys = _ticket_keys(tickets, clock)
        self._file = TokensFile(settings.tokens) if settings.tokens else None
        self._keys = _issuer_keys(settings, clock)
        tokens: TokenSource = self._file or Tokens({})
        authenticator = Authenticator(
            tokens,
            refusals=self._refusals,
            wall=wall,
            operators=_operators(settings, self._keys, wall) if self._keys else None,
            tickets=ticket_verifier(self._ticket_keys, tickets.units, wall=wall)
            if tickets is not None and self._ticket_keys is not None
            else None,
            certificates=_certificates(settings),
            clients_enrol=clients_enrol,
        )
        self.control = AccessControl(
            access_of_services(services), authenticator if settings.asks_for_credentials else None
        )
        self._open_calls = OpenCalls(self.control)
        self.interceptor = AccessInterceptor(self.control, self._open_calls)

    def tasks(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What works beside the calls, by name."""
        found: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        if self._file is not None:
            found["tokens file"] = self._file.run
        if self._keys is not None:
            found["issuer keys"] = self._keys.run
        if self._ticket_keys is not None:
            found["ticket keys"] = self._ticket_keys.run
        if not self.control.open:
            found["open calls"] = self._open_calls.run
        return found

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        refused = CounterMetricFamily(
            "homeport_auth_refused_credentials", "Credentials refused.", labels=["reason"]
        )
        for reason, count in list(self._refusals.counts.items()):
            refused.add_metric([reason], count)
        yield refused
        yield CounterMetricFamily(
            "homeport_auth_ended_calls",
            "Streams ended because their caller's credential did.",
            self._open_calls.ended,
        )
        tokens = GaugeMetricFamily("homeport_auth_tokens", "Tokens that are known.", labels=[])
        reloads = CounterMetricFamily(
            "homeport_auth_tokens_file_reloads",
            "Changes of the tokens file that were taken.",
            labels=[],
        )
        good = GaugeMetricFamily(
            "homeport_auth_tokens_file_good",
            "0 while the tokens file is away or faulty, and the last good one counts.",
            labels=[],
        )
        if self._file is not None:
            tokens.add_metric([], len(self._file.current()))
            reloads.add_metric([], self._file.reloads)
            good.add_metric([], 1.0 if self._file.current_is_good else 0.0)
        known = GaugeMetricFamily(
            "homeport_auth_issuer_keys",
            "Keys that the OpenID provider's tokens can be checked with.",
            labels=[],
        )
        failures = CounterMetricFamily(
            "homeport_auth_issuer_keys_failures",
            "Times that the provider's keys could not be read.",
            labels=[],
        )
        if self._keys is not None:
            keys = self._keys.current()
            known.add_metric([], 0 if keys is None else len(keys))
            failures.add_metric([], self._keys.failures)
        yield from (tokens, reloads, good, known, failures)


def _issuer_keys(settings: AccessSettings, clock: Callable[[], float]) -> IssuerKeys | None:
    if not settings.oidc_issuer:
        return None
    source = source_of(settings.oidc_jwks, issuer=settings.oidc_issuer)
    return IssuerKeys(source, clock=clock, max_age_s=settings.oidc_keys_max_age_s)


def _ticket_keys(tickets: ShownTickets | None, clock: Callable[[], float]) -> IssuerKeys | None:
    if tickets is None or not tickets.keys:
        return None
    return IssuerKeys(source_of(tickets.keys, issuer=ISSUER), clock=clock)


def _operators(
    settings: AccessSettings, keys: IssuerKeys, wall: Callable[[], float]
) -> JwtVerifier[Caller]:
    rules = ClaimRules(
        roles=role_mapping(settings.oidc_roles, "oidc_roles"),
        roles_claim=settings.oidc_roles_claim,
        tenant_claim=settings.oidc_tenant_claim,
    )
    policy = IssuerPolicy(
        issuer=settings.oidc_issuer,
        audiences=frozenset({settings.oidc_audience}),
        leeway_s=settings.oidc_leeway_s,
    )
    return JwtVerifier(policy, keys, read=lambda claims: caller_of_claims(claims, rules), wall=wall)


def _certificates(settings: AccessSettings) -> CertificateCallers | None:
    if not settings.certificate_trust_domain:
        return None
    return CertificateCallers(
        settings.trust_domains,
        role_mapping(settings.certificate_operators, "certificate_operators"),
    )
