"""Tenants, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, whole
from console.cli.views.numbers import exact

if TYPE_CHECKING:
    from rich.console import Group

    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy


def _choice(enum_name: str, prefix: str) -> str:
    return enum_name.removeprefix(prefix).lower().replace("_", "-")


def document_of(tenant: tenancy.Tenant) -> dict[str, Any]:
    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy_pb

    eddsa = tenant.ticket_algorithm == tenancy_pb.TICKET_ALGORITHM_EDDSA
    position = None
    if tenant.HasField("default_position"):
        position = {
            "latitude": tenant.default_position.latitude,
            "longitude": tenant.default_position.longitude,
        }
    return {
        "id": tenant.tenant,
        "ticket_algorithm": "EdDSA" if eddsa else "HS256",
        "ticket_ttl_s": tenant.ticket_ttl.seconds + tenant.ticket_ttl.nanos / 1e9,
        "default_position": position,
        "hold_s": tenant.hold_ttl.seconds + tenant.hold_ttl.nanos / 1e9,
        "reprovision": _choice(tenancy_pb.Reprovision.Name(tenant.reprovision), "REPROVISION_"),
        "return_home": _choice(tenancy_pb.ReturnHome.Name(tenant.return_home), "RETURN_HOME_"),
        "failover": _choice(tenancy_pb.Failover.Name(tenant.failover), "FAILOVER_"),
        "enrolment": [
            _choice(tenancy_pb.EnrolmentMethod.Name(one), "ENROLMENT_METHOD_")
            for one in tenant.enrolment
        ],
        "issuers": [
            {
                "issuer": one.issuer,
                "audience": one.audience,
                "jwks_url": one.jwks_url or None,
                "jwks": one.jwks or None,
                "client_claim": one.client_claim,
                "attribute_claims": dict(one.attribute_claims),
            }
            for one in tenant.issuers
        ],
        "quotas": [
            {
                "quota": one.quota,
                "counted_by": one.counted_by,
                "per_s": one.per_s,
                "burst": one.burst or None,
                "counted_at": _counted_at(one.quota),
            }
            for one in tenant.quotas
        ],
        "quotas_in_force": [
            {
                "quota": one.quota,
                "counted_by": one.counted_by,
                "per_s": one.per_s or None,
                "burst": one.burst or None,
                "source": _choice(tenancy_pb.QuotaSource.Name(one.source), "QUOTA_SOURCE_"),
            }
            for one in tenant.quotas_in_force
        ],
        "max_clients": tenant.max_clients or None,
        "client_use": _use(tenant),
        "memory": _memory_of(tenant),
        "removing": tenant.removing,
    }


def _use(tenant: tenancy.Tenant) -> dict[str, Any] | None:
    """How many clients it has; None: they are not counted, or that is not known now."""
    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy_pb

    if not tenant.HasField("client_use"):
        return None
    use = tenant.client_use
    state = _choice(tenancy_pb.ClientBoundState.Name(use.state), "CLIENT_BOUND_STATE_")
    counting = is_counting(tenant)
    return {
        "state": state,
        "clients": None if counting else use.clients,
        "counted_clients": use.counted_clients if counting else None,
    }


def is_counting(tenant: tenancy.Tenant) -> bool:
    """Whether a bound on its clients waits until they are counted."""
    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy_pb

    return tenant.client_use.state == tenancy_pb.CLIENT_BOUND_STATE_COUNTING


def is_unbounded(tenant: tenancy.Tenant) -> bool:
    """Whether its clients are counted, and there were more than the bound that was to hold."""
    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy_pb

    return tenant.client_use.state == tenancy_pb.CLIENT_BOUND_STATE_UNBOUNDED


def tenants_table(tenants: list[tenancy.Tenant]) -> Table:
    """Tenants, and how their clients are treated."""
    table = Table(
        whole("tenant"), whole("tickets"), whole("tickets for"), fold("unlocated clients"),
        whole("hold"), whole("reprovision"), whole("return home"), whole("failover"),
        fold("enrolment"), fold("quotas"), fold("clients"), fold("memory"),
    )  # fmt: skip
    for tenant in tenants:
        facts = document_of(tenant)
        position = facts["default_position"]
        table.add_row(
            escape(facts["id"]) + (" (being removed)" if facts["removing"] else ""),
            facts["ticket_algorithm"],
            f"{exact(facts['ticket_ttl_s'], grouped=True)} s",
            f"at {exact(position['latitude'])}, {exact(position['longitude'])}"
            if position
            else "anywhere",
            f"{exact(facts['hold_s'], grouped=True)} s" if facts["hold_s"] else "never ends",
            facts["reprovision"],
            facts["return_home"],
            facts["failover"],
            ", ".join(facts["enrolment"]) or "default",
            ", ".join(map(_own_quota, facts["quotas"])) or "the servers'",
            _clients(facts),
            ", ".join(f"{name}={most:,}" for name, most in facts["memory"].items() if most)
            or "the servers'",
        )
    return table


def _clients(facts: dict[str, Any]) -> str:
    """Use of bound, as far as either is known."""
    use, most = facts["client_use"], facts["max_clients"]
    if use is None:
        return "no bound" if most is None else f"{most:,} at most"
    if use["state"] == "counting":
        return f"{most:,} at most, once they are counted ({use['counted_clients']:,} so far)"
    if most is None:
        return f"{use['clients']:,}, no bound"
    return f"{use['clients']:,} of {most:,}"


def tenant_view(tenant: tenancy.Tenant) -> Group:
    """One tenant, and what it may ask for in a second: at the server that answered, and what its
    record says of quotas that other servers count."""
    from rich.console import Group

    table = Table(
        whole("quota"), whole("by"), whole("a second"), whole("at once"), whole("said by"),
        whole("at"),
    )  # fmt: skip
    document = document_of(tenant)
    here = {one["quota"] for one in document["quotas_in_force"]}
    elsewhere = [one for one in document["quotas"] if one["quota"] not in here]
    for one in (*document["quotas_in_force"], *elsewhere):
        table.add_row(
            escape(one["quota"]),
            one["counted_by"],
            "no limit" if one["per_s"] is None else exact(one["per_s"], grouped=True),
            "" if one["burst"] is None else exact(one["burst"], grouped=True),
            one.get("source", "tenant, at most"),
            _counted_at(one["quota"]) or "",
        )
    return Group(tenants_table([tenant]), table)


def _counted_at(quota: str) -> str | None:
    """The command whose servers count it: `serve`, or `share` where it has a store; None: a quota
    that this version does not know."""
    from control_plane.quotas.limits import Quota, counted_at

    try:
        return counted_at(Quota(quota)).value
    except ValueError:
        return None


def _memory_of(tenant: tenancy.Tenant) -> dict[str, int | None]:
    """What its record says that rules may remember, by bound; None: the data-sharing servers'."""
    names = [one.name for one in tenant.memory.DESCRIPTOR.fields]
    return {name: getattr(tenant.memory, name) or None for name in names}


def _own_quota(one: dict[str, Any]) -> str:
    burst = f":{exact(one['burst'])}" if one["burst"] else ""
    return escape(f"{one['quota']}/{one['counted_by']}={exact(one['per_s'])}{burst}")
