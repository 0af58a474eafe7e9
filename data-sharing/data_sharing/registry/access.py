"""Access: which application may read which feed. The only place where that is decided; everything
that hands events to an application asks here. Pure.

An application reads a feed when both are of one tenant, its manifest says that it consumes
it, and the producer shares it; or when the feed is its own. Outcomes of instructions are nobody's
feed: of them an application reads those of instructions that events of its own caused, and no
others. Tenants never see each other, not even whether a feed exists. What an Access allows is
otherwise the feed as a whole so far: consent of the user and field-level policies will narrow
`Access.fields` and compare `Access.purpose`, here.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from data_sharing.instruction import OUTCOME_FEED
from data_sharing.registry.catalogue import Catalogue
from data_sharing.registry.manifest import Manifest, Produced


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Whether an application may read a feed, and why not or what for."""

    allowed: bool
    reason: str = ""  # one sentence, where it is not allowed
    purpose: str = ""  # what the application said it reads the feed for
    fields: tuple[str, ...] = ()  # JSON Pointers that it said it reads; none: all
    caused_alone: bool = False  # of its events those alone that `caused` allows


def may_read(catalogue: Catalogue, *, tenant: str, application: str, feed: str) -> Access:
    """`feed`: CloudEvents type, of the application's own tenant: there is no way to name a
    feed of another."""
    reader = catalogue.application(tenant, application)
    if reader is None:
        return Access(allowed=False, reason=f"tenant {tenant} has no application {application}")
    if feed == OUTCOME_FEED:
        if not reader.manifest.produces:
            return Access(
                allowed=False,
                reason=f"{application} produces no feed, and an application reads the outcomes of "
                "what events of its own caused",
            )
        return Access(allowed=True, purpose="what its events caused", caused_alone=True)
    if reader.manifest.produced(feed) is not None:
        return Access(allowed=True, purpose="its own feed")
    consumed = reader.manifest.consumed(feed)
    if consumed is None:
        return Access(
            allowed=False, reason=f"the manifest of {application} does not say it consumes {feed}"
        )
    producer = catalogue.producer(tenant, feed)
    produced = catalogue.feed(tenant, feed)
    if producer is None or produced is None:
        return Access(allowed=False, reason=f"nobody produces {feed}")
    if not shares(produced, application):
        return Access(
            allowed=False,
            reason=f"{producer.manifest.application} does not share {feed} with {application}",
        )
    return Access(allowed=True, purpose=consumed.purpose, fields=consumed.fields)


class _Outcome(msgspec.Struct):
    caused_by: tuple[str, ...] = ()


_outcome = msgspec.json.Decoder(_Outcome).decode


def caused(content: bytes, application: str) -> bool:
    """Whether an event of this application's was among those that caused an instruction.
    content: data of the event of its outcome, as JSON; of one that does not say it, no."""
    try:
        return application in _outcome(content).caused_by
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def origin(catalogue: Catalogue, *, tenant: str, feed: str) -> str:
    """The application that an event of a feed came from, whoever published it for it; empty: none,
    as for outcomes."""
    producer = catalogue.producer(tenant, feed)
    return "" if producer is None else producer.manifest.application


def shares(produced: Produced, application: str) -> bool:
    """Whether the producer lets this application of its tenant read the feed."""
    return produced.shared_with_everyone or application in produced.shared_with


def readable(catalogue: Catalogue, *, tenant: str, application: str) -> dict[str, Access]:
    """All feeds that an application may read now, by type; some of them in part."""
    version = catalogue.application(tenant, application)
    if version is None:
        return {}
    manifest = version.manifest
    named = [one.type for one in manifest.produces] + [one.feed for one in manifest.consumes]
    named.append(OUTCOME_FEED)
    found = {
        feed: may_read(catalogue, tenant=tenant, application=application, feed=feed)
        for feed in named
    }
    return {feed: access for feed, access in found.items() if access.allowed}


def readers(catalogue: Catalogue, *, tenant: str, feed: str) -> list[Manifest]:
    """The applications besides its producer that may read all of a feed now, by name."""
    if feed == OUTCOME_FEED:
        return []
    producer = catalogue.producer(tenant, feed)
    return [
        version.manifest
        for version in catalogue.applications(tenant)
        if version is not producer
        and may_read(
            catalogue, tenant=tenant, application=version.manifest.application, feed=feed
        ).allowed
    ]
