"""What a rule held when it judged and which fields were hidden from it, for people and programs."""

from __future__ import annotations

from typing import Any

from homeport.api.datasharing.v1 import decision_pb2 as pb


def hidden_document(hidden: pb.HiddenField) -> dict[str, Any]:
    return {
        "feed": hidden.feed,
        "field": hidden.field,
        "by": hidden.by,
        "purpose": hidden.purpose,
        "application": hidden.application or None,
        "since": _time(hidden, "since_time"),
        "consent": hidden.consent_id or None,
    }


def hidden_line(hidden: pb.HiddenField) -> str:
    """One field in one sentence."""
    what, since = hidden.field or "all of the data", _time(hidden, "since_time")
    if hidden.by == "policy":
        said = f"the sharing policy of {hidden.feed} does not grant it"
        said += f" for {hidden.purpose}" if hidden.purpose else " without a purpose"
        return f"{what} is hidden: {said}{f' (in force since {since})' if since else ''}"
    to = hidden.application or "the tenant"
    if since:
        said = f"the user withdrew consent {hidden.consent_id} to {to} at {since}"
    else:
        said = f"the user has not consented to {to}"
    return f"{what} is hidden: {said}, for {hidden.purpose}"


def kept_document(part: pb.KeptPart) -> dict[str, Any]:
    return {
        "kind": part.kind,
        "name": part.name,
        "count": part.count,
        "newest": [
            {
                "time": _time(one, "time"),
                "value": one.value if one.HasField("value") else None,
                "source": one.source or None,
                "id": one.id or None,
            }
            for one in part.newest
        ],
        "from": _time(part, "from_time"),
        "until": _time(part, "until_time"),
    }


def kept_line(part: pb.KeptPart) -> str:
    """A window with its newest values, or an input with its events, in one line."""
    until = _time(part, "until_time")
    events = "1 event" if part.count == 1 else f"{part.count:,} events"
    if part.kind == "window":
        values = [f"{one.value:g}" for one in part.newest if one.HasField("value")]
        of = f": {'… ' if part.count > len(values) else ''}{' '.join(values)}" if values else ""
        return f"window {part.name}: {events} from {_time(part, 'from_time')} to {until}{of}"
    named = ", ".join(one.id for one in part.newest)
    if part.kind == "absent":
        wait = f"must not come up to {until}" if until else "must not come"
        return f"{part.name} {wait}{f'; {events}: {named}' if part.count else ''}"
    if part.count:
        return f"{part.name} is there: {events}: {named}"
    return f"{part.name} is missing" + (f"; it may come up to {until}" if until else "")


def _time(message: Any, field: str) -> str | None:
    """RFC 3339; None: not told."""
    return str(getattr(message, field).ToJsonString()) if message.HasField(field) else None
