"""What rules and forecasts remember, for people and programs: uses, bounds, who says them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, number, whole

if TYPE_CHECKING:
    from homeport.api.datasharing.v1 import rule_pb2 as pb

_OF = {
    "rule_keys": "keys of one rule or forecast",
    "rule_bytes": "bytes of one rule or forecast",
    "key_bytes": "bytes of it at one key",
    "tenant_keys": "keys of all of the tenant",
    "tenant_bytes": "bytes of all of the tenant",
    "producer_keys": "keys made by events of one source",
    "producer_bytes": "bytes of keys made by events of one source",
}


def memory_document(memory: pb.RuleMemory) -> dict[str, Any]:
    """Of one rule or forecast."""
    return {
        "keys": memory.keys,
        "bytes": memory.bytes,
        "most_keys": memory.most_keys,
        "most_keys_source": source_of(memory.keys_source),
        "most_bytes": memory.most_bytes,
        "most_bytes_source": source_of(memory.bytes_source),
        "full": memory.full or None,
        "full_events": memory.full_events,
    }


def bounds_document(found: pb.GetMemoryResponse) -> dict[str, Any]:
    """Of a tenant, in the service's order."""
    return {
        "bounds": [
            {
                "name": one.name,
                "most": one.most,
                "source": source_of(one.source),
                "used": one.used if one.HasField("used") else None,
            }
            for one in found.bounds
        ]
    }


def bounds_table(found: pb.GetMemoryResponse) -> Table:
    """The same for people."""
    table = Table(whole("bound"), whole("of"), number("used"), number("at most"), whole("said by"))
    for one in bounds_document(found)["bounds"]:
        used = "–" if one["used"] is None else f"{one['used']:,}"
        of = _OF.get(one["name"], "–")
        table.add_row(escape(one["name"]), of, used, f"{one['most']:,}", one["source"] or "–")
    return table


def source_of(source: pb.MemorySource.ValueType) -> str | None:
    """server, tenant or rule; None: nothing is said, as by a server of before."""
    from homeport.api.datasharing.v1 import rule_pb2 as rules

    name = rules.MemorySource.Name(source).removeprefix("MEMORY_SOURCE_").lower()
    return None if name == "unspecified" else name
