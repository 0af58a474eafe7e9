"""Quotas of clients as the store's history tells them: whose clients are counted, from when on.

To the judge a quota is one more unit, at which every client of its tenant is from the revision on
at which the quota stands: those from before once the tenant's record says that they are counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

PREFIX = "tenant:"


@dataclass(slots=True)
class Quotas:
    """`follow` is given every change of tenants' records."""

    names: dict[str, str] = field(default_factory=dict)  # by tenant
    counted: set[str] = field(default_factory=set)  # names
    ended: list[str] = field(default_factory=list)  # names, by the last `follow`

    def follow(self, changes: Mapping[str, bytes | None], homes: Iterable[str]) -> dict[str, int]:
        """By name, how many clients a quota has whose clients are counted from here on. homes: of
        all clients, by tenant/client, once the revision's changes are made."""
        begun: dict[str, int] = {}
        self.ended = []
        for tenant, value in changes.items():
            quota = json.loads(value).get("clients") if value is not None else None
            name = f"{PREFIX}{tenant}:{quota['id']}" if quota is not None else ""
            before = self.names.get(tenant, "")
            if before and before != name:
                self.ended.append(before)
                self.counted.discard(before)
                del self.names[tenant]
            if quota is None:
                continue
            self.names[tenant] = name
            if quota["counted"] and name not in self.counted:
                self.counted.add(name)
                begun[name] = sum(client.startswith(f"{tenant}/") for client in homes)
        return begun

    def of(self, client: str) -> str | None:
        """Where a client is counted besides its unit."""
        return self.names.get(client.partition("/")[0])


def session_of(holder: str) -> str:
    """Of whoever holds places: each commit queue of a server does for itself."""
    return holder.partition("~")[0]
