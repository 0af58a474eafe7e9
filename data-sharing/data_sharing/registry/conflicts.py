"""Conflicts: what a version would break for others, once it is the current one of its application.
Pure.

Applications do not know each other; the registry does. A change that would leave a consumer
without what it reads is refused, and the consumer is named, so that people can talk.
"""

from __future__ import annotations

from data_sharing.instruction import OUTCOME_FEED
from data_sharing.registry.access import readers, shares
from data_sharing.registry.catalogue import Catalogue
from data_sharing.registry.compatibility import has_field, schema_breaks
from data_sharing.registry.manifest import Consumed, Manifest, ManifestFault, Produced


def conflicts(catalogue: Catalogue, manifest: Manifest) -> list[ManifestFault]:
    """Everything that speaks against making this manifest the current one."""
    return [
        *_taken_feeds(catalogue, manifest),
        *_broken_consumers(catalogue, manifest),
        *_bad_reads(catalogue, manifest),
    ]


def _taken_feeds(catalogue: Catalogue, manifest: Manifest) -> list[ManifestFault]:
    faults = []
    for place, produced in enumerate(manifest.produces):
        if produced.type == OUTCOME_FEED:
            faults.append(
                ManifestFault(
                    path=f"/produces/{place}/type",
                    message=f"{OUTCOME_FEED} is what the service says of instructions, and no "
                    "application's feed; choose another type",
                )
            )
            continue
        owner = catalogue.producer(manifest.tenant, produced.type)
        if owner is not None and owner.manifest.application != manifest.application:
            faults.append(
                ManifestFault(
                    path=f"/produces/{place}/type",
                    message=f"{produced.type} is a feed of {owner.manifest.application}; "
                    "a feed has one producer, choose another type",
                )
            )
    return faults


def _broken_consumers(catalogue: Catalogue, manifest: Manifest) -> list[ManifestFault]:
    before = catalogue.application(manifest.tenant, manifest.application)
    if before is None:
        return []
    faults: list[ManifestFault] = []
    places = {one.type: place for place, one in enumerate(manifest.produces)}
    for old in before.manifest.produces:
        path = f"/produces/{places[old.type]}" if old.type in places else "/produces"
        for reader in readers(catalogue, tenant=manifest.tenant, feed=old.type):
            consumed = reader.consumed(old.type)
            assert consumed is not None  # or it would be no reader
            faults += _breaks(path, old, manifest.produced(old.type), reader.application, consumed)
    return faults


def _breaks(
    path: str, old: Produced, new: Produced | None, consumer: str, consumed: Consumed
) -> list[ManifestFault]:
    if new is None:
        return [
            ManifestFault(path=path, consumer=consumer,
                  message=f"{consumer} reads {old.type}; it cannot be taken away")
        ]  # fmt: skip
    faults = []
    if not shares(new, consumer):
        faults.append(
            ManifestFault(path=f"{path}/shared_with", consumer=consumer,
                  message=f"{consumer} reads {old.type}; it cannot be shut out")
        )  # fmt: skip
    if new.key != old.key:
        faults.append(
            ManifestFault(path=f"{path}/key", consumer=consumer,
                  message=f"{consumer} reads {old.type} by its key {old.key}; that cannot change")
        )  # fmt: skip
    faults += [
        ManifestFault(
            path=f"{path}/schema",
            message=f"{consumer} reads {old.type}, and {found.message}",
            consumer=consumer,
            field=found.field,
        )
        for found in schema_breaks(old.schema, new.schema, consumed.fields)
    ]
    return faults


def _bad_reads(catalogue: Catalogue, manifest: Manifest) -> list[ManifestFault]:
    """What it wants to read and cannot, as far as that is known: a feed may come later."""
    before = catalogue.application(manifest.tenant, manifest.application)
    faults: list[ManifestFault] = []
    for place, consumed in enumerate(manifest.consumes):
        producer = catalogue.producer(manifest.tenant, consumed.feed)
        feed = catalogue.feed(manifest.tenant, consumed.feed)
        if producer is None or feed is None:
            continue
        if producer.manifest.application == manifest.application:
            feed = manifest.produced(consumed.feed) or feed
        read_already = before is not None and before.manifest.consumed(consumed.feed) is not None
        if producer.deprecation and not read_already:
            faults.append(
                ManifestFault(
                    path=f"/consumes/{place}/feed",
                    message=f"{producer.manifest.application} {producer.manifest.version}, which "
                    f"produces it, is deprecated: {producer.deprecation}",
                )
            )
        faults += [
            ManifestFault(path=f"/consumes/{place}/fields/{number}",
                  message=f"{consumed.feed} has no field {field}")
            for number, field in enumerate(consumed.fields)
            if not has_field(feed.schema, field)
        ]  # fmt: skip
    return faults
