"""Organisations, domains and routes of invitations, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, facts, fold, number
from console.cli.views.times import time_text

if TYPE_CHECKING:
    from homeport.api.directory.v1 import domain_pb2, invitation_pb2
    from homeport.api.directory.v1 import organisation_pb2 as pb


def organisation_document(found: pb.Organisation) -> dict[str, Any]:
    """An organisation for programs."""
    from homeport.api.directory.v1 import organisation_pb2

    def word(enum: Any, number: int) -> str:
        return str(enum.Name(number)).partition("_")[2].lower()

    policy = found.policy
    return {
        "organisation": found.organisation,
        "name": found.name,
        "owners": list(found.owners),
        "joining": word(organisation_pb2.Joining, policy.joining),
        "guests": word(organisation_pb2.Openness, policy.guests),
        "guests_of": list(policy.guests_of),
        "visits": word(organisation_pb2.Openness, policy.visits),
        "visits_to": list(policy.visits_to),
        "single_sign_on": policy.single_sign_on,
        "two_factors": policy.two_factors,
        "revision": found.revision,
    }


def organisations_table(documents: Iterable[dict[str, Any]]) -> Table:
    """Organisations for people."""
    table = Table(
        fold("organisation"), fold("name"), fold("owners"), fold("joining"), fold("guests"),
        fold("visits"), fold("members show"), number("revision"),
    )  # fmt: skip
    for one in documents:
        table.add_row(
            escape(one["organisation"]), escape(one["name"]), escape(", ".join(one["owners"])),
            one["joining"], _open(one["guests"], one["guests_of"]),
            _open(one["visits"], one["visits_to"]), _shown_by_members(one), f"{one['revision']}",
        )  # fmt: skip
    return table


def domain_document(found: domain_pb2.Domain) -> dict[str, Any]:
    """A domain for programs; times are Unix seconds."""
    from homeport.api.directory.v1 import domain_pb2

    state = domain_pb2.DomainState.Name(found.state).removeprefix("DOMAIN_STATE_").lower()
    return {
        "domain": found.domain,
        "state": state,
        "organisation": found.organisation,
        "primary": found.primary,
        "covers_subdomains": found.covers_subdomains,
        "checked_at": found.check_time.seconds or None,
        "failures": found.failures,
        "rival": found.rival,
        "offered_to": found.offered_to,
        "record": {"name": found.record_name, "value": found.record_value}
        if found.record_name
        else None,
    }


def domains_table(documents: Iterable[dict[str, Any]]) -> Table:
    """Domains for people."""
    table = Table(fold("domain"), fold("state"), fold("primary"), fold("checked"), fold("more"))
    for one in documents:
        more = [f"{one['failures']} misses"] if one["failures"] else []
        more += [] if one["covers_subdomains"] else ["only itself"]
        more += [f"contested by {one['rival']}"] if one["rival"] else []
        more += [f"offered to {one['offered_to']}"] if one["offered_to"] else []
        if one["record"] is not None:
            more.append(f'publish {one["record"]["name"]} TXT "{one["record"]["value"]}"')
        checked = "–" if one["checked_at"] is None else time_text(one["checked_at"] * 1_000)
        table.add_row(
            escape(one["domain"]), one["state"], escape(one["primary"] or "–"), checked,
            escape("; ".join(more)),
        )  # fmt: skip
    return table


def route_document(found: invitation_pb2.Route) -> dict[str, Any]:
    """Where an invitation goes, for programs."""
    from homeport.api.directory.v1 import invitation_pb2

    outcome = invitation_pb2.RouteOutcome.Name(found.outcome).removeprefix("ROUTE_OUTCOME_")
    return {
        "outcome": outcome.lower(),
        "accounts": list(found.accounts),
        "organisation": found.organisation,
        "why": [{"rule": one.rule, "clause": one.clause, "value": one.value} for one in found.why],
        "judged_by": dict(found.judged_by),
    }


def route_view(document: dict[str, Any]) -> Table:
    """The same for people."""
    table = facts(
        ("goes", document["outcome"].replace("_", " ")),
        ("accounts", escape(", ".join(document["accounts"]) or "–")),
        ("organisation", escape(document["organisation"] or "–")),
    )
    for one in document["why"]:
        table.add_row("because", escape(f"{one['rule']}: {one['clause']} {one['value']}".rstrip()))
    return table


def _shown_by_members(document: dict[str, Any]) -> str:
    """What they have to have shown."""
    asked = (("single_sign_on", "single sign-on"), ("two_factors", "two factors"))
    return ", ".join(word for field, word in asked if document[field]) or "–"


def _open(openness: str, listed: list[str]) -> str:
    return escape(", ".join(listed) or "–") if openness == "listed" else openness
