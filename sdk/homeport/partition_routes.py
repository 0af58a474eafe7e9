"""PartitionRoutes: where each event of a tenant goes whose keys are over partitions. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from homeport.api.cloudevents.v1 import cloudevents_pb2
from homeport.api.datasharing.v1 import feed_pb2
from homeport.partitions import key_of, partition_of


class PartitionRoutes:
    """servers: host:port by partition, empty where nobody has it; keys: of feeds, JSON Pointers."""

    def __init__(self, tenant: str, servers: Sequence[str], keys: Mapping[str, str]) -> None:
        self.servers = tuple(servers)
        self._tenant = tenant
        self._keys = keys

    @classmethod
    def of(cls, told: feed_pb2.ListPartitionsResponse) -> PartitionRoutes | None:
        """None: keys are not spread."""
        if len(told.partitions) < 2:
            return None
        by_number = sorted(told.partitions, key=lambda one: one.number)
        keys = {one.type: one.key for one in told.feeds}
        return cls(told.tenant, [one.server for one in by_number], keys)

    def partition_of(self, event: cloudevents_pb2.CloudEvent) -> int | None:
        """Whose an event is; None where its feed is not known, or it has no key: the service
        judges it."""
        pointer = self._keys.get(event.type)
        if pointer is None:
            return None
        data = json.loads(event.text_data) if pointer.startswith("/data/") else {}
        attributes = {name: one.ce_string for name, one in event.attributes.items()}
        attributes["source"] = event.source
        key = key_of(pointer, data, attributes)
        return None if key is None else partition_of(self._tenant, key, len(self.servers))
