"""Hidden fields: what a rule reads of an event and was not shown, by which policy or for want of
whose consent, and since when. Never what it was.

Policies are no secret from the tenant's viewers. When a user withdrew a consent is told to whoever
may see, for the purpose that is asked with, whom the event is about; others hear that a consent is
missing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from data_sharing.decisions import sharing_tables
from data_sharing.feeds.port import Record
from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.fields_read import fields_read
from data_sharing.sharing.audience import OPERATORS, Audience
from data_sharing.sharing.consent import Consent
from data_sharing.sharing.field_view import FieldView
from data_sharing.sharing.fields import Path, field_of
from data_sharing.sharing.policies import SharingPolicies


class HiddenField(NamedTuple):
    """A field that a rule reads and does not see. by: "policy", or "consent" of the user.
    consumer: to whom it is missing; empty: the tenant. since_ms: the policy has been in force, or
    the consent withdrawn, Unix ms; 0: it was never given, or is not told. consent: which."""

    feed: str
    field: str
    by: str
    purpose: str = ""
    consumer: str = ""
    since_ms: int = 0
    consent: str = ""


class Hiding:
    """Of one event, as its rules were shown it. consents_of: (tenant, subject) to those that held
    then; purpose: of whoever asks."""

    def __init__(
        self,
        db: sqlite3.Connection,
        policies: SharingPolicies,
        record: Record,
        consents_of: Callable[[str, str], Sequence[Consent]],
        purpose: str,
    ) -> None:
        self._db, self._policies, self._consents_of = db, policies, consents_of
        self._tenant, self._feed = record.tenant, record.type
        self._event = record.event()
        self._operators = Audience(frozenset((OPERATORS,)), purpose)
        self._withdrawn: dict[tuple[str, str, Path], Consent | None] = {}

    def of(self, rule: CompiledRule) -> tuple[HiddenField, ...]:
        """What it reads of the event's feed and does not see."""
        view = self._policies.view(self._tenant, self._feed, rule.audience)
        return () if view is None else tuple(self._hidden(rule, view))

    def _hidden(self, rule: CompiledRule, view: FieldView) -> Iterator[HiddenField]:
        subject = view.subject_of(self._event)
        held = self._consents_of(self._tenant, subject) if subject else ()
        selection = view.selection(held if view.consumers else ())
        purpose = rule.audience.purpose
        for path in sorted(fields_read(rule).get(self._feed, ())):
            if selection is not None and selection.shows(path):
                continue
            field = field_of(path)
            if view.widest is None or not view.widest.shows(path):
                since_ms = sharing_tables.applied_ms(self._db, self._tenant, self._feed)
                yield HiddenField(self._feed, field, "policy", purpose, since_ms=since_ms)
                continue
            for consumer in view.wanting(path, held) or ("",):
                found = self._last_withdrawn(subject, consumer, purpose, path)
                since_ms, name = (0, "") if found is None else (found.withdrawn_ms or 0, found.id)
                yield HiddenField(self._feed, field, "consent", purpose, consumer, since_ms, name)

    def _last_withdrawn(
        self, subject: str, consumer: str, purpose: str, path: Path
    ) -> Consent | None:
        """None: there is none, or whoever asks is not to know."""
        if not subject or not self._is_named:
            return None
        place = consumer, purpose, path
        if place not in self._withdrawn:
            found = sharing_tables.last_withdrawn(
                self._db, self._tenant, subject, consumer, feed=self._feed, purpose=purpose,
                path=path,
            )  # fmt: skip
            before = found is not None and found.withdrawn_position < self._event.position
            self._withdrawn[place] = found if before else None
        return self._withdrawn[place]

    @property
    def _is_named(self) -> bool:
        """Whether whoever asks may see whom the event is about."""
        view = self._policies.view(self._tenant, self._feed, self._operators)
        if view is None:
            return True
        subject = view.subject_of(self._event)
        held = self._consents_of(self._tenant, subject) if view.consumers and subject else ()
        selection = view.selection(held)
        return selection is not None and selection.shows(view.subject)
