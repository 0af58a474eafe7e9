"""Policies of feeds, consents and reads, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, optional, whole

if TYPE_CHECKING:
    from homeport.api.datasharing.v1 import sharing_pb2 as pb


def policy_document(policy: pb.SharingPolicy) -> dict[str, Any]:
    import json

    return {
        "feed": policy.feed,
        "apply_time": _time(policy, "apply_time"),
        "spec": json.loads(policy.spec),
    }


def policies_table(policies: list[pb.SharingPolicy]) -> Table:
    """A line for each grant."""
    import json

    table = Table(whole("feed"), fold("purpose"), fold("readers"), fold("fields"), whole("basis"))
    for one in policies:
        grants = json.loads(one.spec or "{}").get("grants", [])
        for grant in grants:
            readers = [*grant.get("applications", []), *(
                f"tenant/{name}" for name in grant.get("tenant", [])
            )]  # fmt: skip
            named = dict.fromkeys((*grant["fields"], *grant.get("masks", {})))
            fields = [field or '""' for field in named]
            table.add_row(
                escape(one.feed), escape(grant["purpose"]), escape(", ".join(readers)),
                escape(", ".join(fields)), grant.get("basis", "consent"),
            )  # fmt: skip
        if not grants:
            table.add_row(escape(one.feed), "–", "–", "–", "–")
    return table


def consent_document(consent: pb.Consent) -> dict[str, Any]:
    return {
        "id": consent.consent_id,
        "subject": consent.subject,
        "application": consent.application or None,
        "purpose": consent.purpose,
        "feed": consent.feed or None,
        "fields": list(consent.fields),
        "give_time": _time(consent, "give_time"),
        "give_position": consent.give_position,
        "evidence": consent.evidence or None,
        "withdraw_time": _time(consent, "withdraw_time"),
        "withdraw_position": consent.withdraw_position or None,
    }


def consents_table(consents: list[pb.Consent]) -> Table:
    """Consents, and whether they hold."""
    table = Table(
        whole("id"), fold("subject"), fold("to"), fold("purpose"), optional(fold("feed")),
        optional(fold("fields")),
        optional(whole("given")), optional(whole("withdrawn")),
    )  # fmt: skip
    for one in consents:
        table.add_row(
            escape(one.consent_id), escape(one.subject), escape(one.application) or "the tenant",
            escape(one.purpose), escape(one.feed) or "any",
            escape(", ".join(one.fields)) or "all that are granted",
            _time(one, "give_time") or "–", _time(one, "withdraw_time") or "–",
        )  # fmt: skip
    return table


def read_document(read: pb.SharedRead) -> dict[str, Any]:
    return {
        "day": _day(read),
        "feed": read.feed,
        "reader": read.reader,
        "purpose": read.purpose,
        "field": read.field,
        "events": read.events,
    }


def reads_table(reads: list[pb.SharedRead]) -> Table:
    """Who was shown what."""
    table = Table(
        optional(whole("day")), fold("feed"), fold("reader"), fold("purpose"), fold("field"),
        number("events"),
    )  # fmt: skip
    for one in reads:
        table.add_row(
            _day(one), escape(one.feed), escape(one.reader), escape(one.purpose),
            escape(one.field) or '""', f"{one.events:,}",
        )  # fmt: skip
    return table


def _day(read: pb.SharedRead) -> str:
    return read.day.ToJsonString().partition("T")[0]


def _time(message: Any, field: str) -> str | None:
    return getattr(message, field).ToJsonString() if message.HasField(field) else None
