"""ShownRecords: kept events as whoever reads them may see them: applications, and operators.

An application sees its own feeds as they are, and those of others as their policies let it, for the
purpose that its manifest states. An operator states the purpose with the question. Consents are
those that hold now, for events behind them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import msgspec

from data_sharing.database import Database
from data_sharing.decisions import sharing_tables
from data_sharing.decisions.shared_reads import DAY_MS
from data_sharing.decisions.sharing_tables import ReadName
from data_sharing.event import Event
from data_sharing.feeds.port import Record
from data_sharing.sharing.audience import OPERATORS, Audience
from data_sharing.sharing.consent import NO_CONSENTS, Consent
from data_sharing.sharing.field_view import FieldView, Selection
from data_sharing.sharing.policies import SharingPolicies

Reads: TypeAlias = Counter[ReadName]
_KEPT_ATTRIBUTES = ("datacontenttype", "dataschema")


class Shown(NamedTuple):
    """A record as it is shown. fields: of it, for people; None: all, the feed has no policy."""

    record: Record
    fields: tuple[str, ...] | None


class ShownRecords:
    """policies: in force now; wall_ms: Unix ms."""

    def __init__(
        self,
        database: Database,
        policies: Callable[[], SharingPolicies],
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        self._database, self._policies, self._wall_ms = database, policies, wall_ms

    def to_operator(self, record: Record, purpose: str, reads: Reads | None = None) -> Shown | None:
        """None: nothing of it. reads: as of `to`."""
        return self.to(record, Audience(frozenset((OPERATORS,)), purpose), reads)

    async def count(self, reads: Reads) -> None:
        """Who is going to be shown what, before it is. Raises Unavailable: nobody is shown what is
        not counted."""
        if reads:
            await self._database.transact(lambda db: sharing_tables.add_reads(db, reads))

    def governs(self, tenant: str) -> bool:
        """Whether any feed of the tenant has a policy."""
        return self._policies().governs(tenant)

    def to(self, record: Record, audience: Audience, reads: Reads | None = None) -> Shown | None:
        """The same for whoever reads. reads: where it is added what of a feed with a policy is
        shown, to be counted."""
        view = self._policies().view(record.tenant, record.type, audience)
        if view is None:
            return Shown(record, None)
        event = record.event()
        selection = view.selection(self._consents(view, event))
        if selection is None:
            return None
        seen = selection.event_of(event)
        if reads is not None:
            day = self._wall_ms() // DAY_MS
            for reader in audience.readers:
                for field in selection.fields:
                    reads[
                        ReadName(record.tenant, day, record.type, reader, audience.purpose, field)
                    ] += 1
        return Shown(
            record._replace(
                key=seen.key,
                subject=seen.subject,
                content=msgspec.json.encode(seen.data),
                attributes=_attributes(record.attributes, selection),
            ),
            selection.fields,
        )

    def _consents(self, view: FieldView, event: Event) -> list[Consent]:
        if not view.consumers:
            return list(view.consents_of(event, NO_CONSENTS))
        subject = view.subject_of(event)
        if not subject:
            return []
        found = self._database.read(
            lambda db: sharing_tables.consents_of(db, event.tenant, subject)
        )
        return [one for one in found if one.holds_at(event.position)]


def _attributes(kept: bytes, selection: Selection) -> bytes:
    """Those that say how the data is written, and the key where it is shown: any other may say
    what is in the data."""
    if not kept:
        return kept
    names = (*_KEPT_ATTRIBUTES, *(("partitionkey",) if selection.key else ()))
    found = {name: one for name, one in msgspec.json.decode(kept).items() if name in names}
    return msgspec.json.encode(found) if found else b""
