"""FieldView: a feed as one audience sees it.

The one place where it is decided which fields of an event are shown, masked or hidden. A field is
shown where each reader of the audience has a grant for the purpose that has it, on a basis that
stands: consent is that of the user whom the event is about. Of several grants the widest counts for
a reader, of several readers the narrowest for the audience; two masks that differ show nothing. The
attributes `id`, `source`, `type` and `time` are always shown; `key` that is not granted becomes a
pseudonym, `subject` empty. An event of which nothing is shown does not exist for the audience.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from data_sharing.event import Event
from data_sharing.sharing.audience import Audience, consumer_of
from data_sharing.sharing.consent import Consent, Consents, HeldConsents, Terms, allows, what_of
from data_sharing.sharing.fields import (
    DATA,
    KEY,
    SUBJECT,
    Path,
    covers,
    field_of,
    path_of,
    subject_at,
)
from data_sharing.sharing.masks import HIDDEN, Pseudonyms, masked
from data_sharing.sharing.policy import FeedPolicy, GrantSpec, MaskSpec

_ALWAYS_SHOWN = frozenset((("id",), ("source",), ("type",), ("time",)))
MOST_SELECTIONS = 256  # of one view, by what users have consented to
Action = MaskSpec | None  # None: shown as it is; "drop": hidden


class AudienceRead(NamedTuple):
    """fields: that it is shown of an event, for people."""

    audience: Audience
    fields: tuple[str, ...]


class _Grant(NamedTuple):
    """fields: shown, or what is in their place, by path."""

    needs_consent: bool
    fields: Mapping[Path, Action]


class _Node(NamedTuple):
    """Of the data: what is done here, and below where that is something else."""

    action: Action
    below: Mapping[str, _Node]


class Selection:
    """What is shown under some consents to an audience."""

    __slots__ = ("_actions", "_data", "_others", "_plain", "_pseudonyms", "key", "read", "subject")

    def __init__(
        self, actions: Mapping[Path, Action], pseudonyms: Pseudonyms, audience: Audience
    ) -> None:
        self._actions = actions
        self._pseudonyms = pseudonyms
        self._data = _tree(actions, DATA)
        # Where fields are shown one by one: those that are as they are, and what is else.
        one_by_one = self._data.action == "drop"
        below = self._data.below.items() if one_by_one else ()
        self._plain = tuple(name for name, one in below if not one.below and one.action is None)
        self._others = tuple((name, one) for name, one in below if name not in self._plain)
        self.key = actions.get(KEY, "drop") is None
        self.subject = actions.get(SUBJECT, "drop") is None
        # To whom, and what for people; of what is masked, how.
        fields = tuple(
            f"{field_of(path)} ({_said(action)})" if action else field_of(path)
            for path, action in sorted(actions.items())
            if action != "drop"
        )
        self.read = AudienceRead(audience, fields)

    @property
    def fields(self) -> tuple[str, ...]:
        """What is shown, for people."""
        return self.read.fields

    def action(self, path: Path) -> Action:
        """What becomes of what is there."""
        return _nearest(self._actions, path, "drop")

    def shows(self, path: Path) -> bool:
        """Whether all that is there is shown as it is."""
        inner = (one for at, one in self._actions.items() if covers(path, at))
        return self.action(path) is None and all(one is None for one in inner)

    def leaves(self, path: Path) -> bool:
        """Whether events have the same there, or nothing, as they are shown."""
        if path[:1] == DATA:
            return self.shows(path)
        shown = {KEY: self.key, SUBJECT: self.subject}
        return shown.get(path, path in _ALWAYS_SHOWN)

    def data_of(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What is shown of it."""
        if self._plain or self._others:
            plain = {name: data[name] for name in self._plain if name in data}
            for name, node in self._others:
                if name in data:
                    shown = self._shown(data[name], node)
                    if shown is not HIDDEN:
                        plain[name] = shown
            return plain
        found = self._shown(data, self._data)
        return found if found is not HIDDEN else {}

    def key_of(self, key: str) -> str:
        return key if self.key else self._pseudonyms.of(key)

    def event_of(self, event: Event) -> Event:
        """The event as it is shown."""
        return Event(  # a third of the time of replacing fields
            event.tenant,
            event.source,
            event.id,
            event.type,
            self.key_of(event.key),
            event.time_ms,
            self.data_of(event.data),
            event.subject if self.subject else "",
            event.position,
            event.trace,
            hops=event.hops,
        )

    def _shown(self, value: Any, node: _Node) -> Any:
        if not node.below:
            if node.action is None:
                return value
            if node.action == "drop":
                return HIDDEN
            return masked(value, node.action, self._pseudonyms)
        if not isinstance(value, Mapping):
            # What is in a list is shown with all of it, or not at all.
            return value if node.action is None and not isinstance(value, list) else HIDDEN
        found: dict[str, Any] = {}
        below = node.below
        if node.action is None:
            for name, one in value.items():
                inner = below.get(name)
                shown = one if inner is None else self._shown(one, inner)
                if shown is not HIDDEN:
                    found[name] = shown
            return found
        for name, inner in below.items():
            if name in value:
                shown = self._shown(value[name], inner)
                if shown is not HIDDEN:
                    found[name] = shown
        return found


class FieldView:
    """Of one feed for one audience. secret: the tenant's, for pseudonyms."""

    def __init__(self, policy: FeedPolicy, audience: Audience, secret: bytes) -> None:
        self._feed, self._audience = policy.feed, audience
        self._pseudonyms = Pseudonyms(secret, audience.purpose)
        self._subject = path_of(policy.subject)
        self._grants: dict[str, tuple[_Grant, ...]] = {
            reader: tuple(_granted(policy.grants, reader, audience.purpose))
            for reader in sorted(audience.readers)
        }
        # Whose consents can change anything.
        self.consumers = frozenset(
            consumer_of(reader)
            for reader, grants in self._grants.items()
            if any(one.needs_consent for one in grants)
        )
        self._selections: dict[Terms | tuple[Any, ...], Selection | None] = {}
        self.widest = self._select(None)  # what consents can show at most; None: nothing

    def of(self, event: Event, consents: Consents) -> tuple[Event, Selection] | None:
        """The event as the audience sees it; None: it does not exist for it."""
        selection = self.selection(self.consents_of(event, consents))
        return None if selection is None else (selection.event_of(event), selection)

    def consents_of(self, event: Event, consents: Consents) -> Sequence[Consent]:
        """Of whom the event is about, those that can change anything."""
        if not self.consumers or self.widest is None:
            return ()
        subject = self.subject_of(event)
        return consents.of(event.tenant, subject) if subject else ()

    def selection(self, consents: Sequence[Consent]) -> Selection | None:
        """What is shown of events of a user who has consented to this. None: nothing."""
        if self.widest is None:
            return None
        key: Terms | tuple[Any, ...]
        key = consents.terms if type(consents) is HeldConsents else tuple(map(what_of, consents))
        if key in self._selections:
            return self._selections[key]
        found = self._select(
            [
                one
                for one in consents
                if one.consumer in self.consumers and one.about(self._feed, self._audience.purpose)
            ]
        )
        if len(self._selections) >= MOST_SELECTIONS:
            del self._selections[next(iter(self._selections))]
        self._selections[key] = found
        return found

    def wanting(self, path: Path, consents: Sequence[Consent]) -> tuple[str, ...]:
        """Consumers that would be shown more of what is there by consents to them that are not
        among these."""
        relevant = [one for one in consents if one.about(self._feed, self._audience.purpose)]
        found = {
            consumer_of(reader)
            for reader, grants in self._grants.items()
            if _of_reader(path, reader, grants, relevant) != _of_reader(path, reader, grants, None)
        }
        return tuple(sorted(found))

    @property
    def subject(self) -> Path:
        """Where an event says whom it is about."""
        return self._subject

    def subject_of(self, event: Event) -> str:
        """The user it is about; empty: nobody that it names."""
        return subject_at(self._subject, event)

    def _select(self, consents: Sequence[Consent] | None) -> Selection | None:
        """None: as if all had consented to everything."""
        paths = {path for grants in self._grants.values() for one in grants for path in one.fields}
        paths |= {path for one in consents or () for path in one.paths()}
        actions = {path: self._of_all(path, consents) for path in paths}
        if all(action == "drop" for action in actions.values()):
            return None
        return Selection(actions, self._pseudonyms, self._audience)

    def _of_all(self, path: Path, consents: Sequence[Consent] | None) -> Action:
        """The narrowest of what the readers are shown."""
        found: Action = None
        for reader, grants in self._grants.items():
            one = _of_reader(path, reader, grants, consents)
            if one == "drop" or (found is not None and one is not None and one != found):
                return "drop"
            found = found if one is None else one
        return found


def _granted(grants: Sequence[GrantSpec], reader: str, purpose: str) -> Iterator[_Grant]:
    for one in grants:
        readers = {*one.applications, *(f"tenant/{name}" for name in one.tenant)}
        if one.purpose == purpose and reader in readers:
            fields: dict[Path, Action] = dict.fromkeys(map(path_of, one.fields))
            fields |= {path_of(field): mask for field, mask in one.masks.items()}
            yield _Grant(one.basis == "consent", fields)


def _of_reader(
    path: Path, reader: str, grants: Sequence[_Grant], consents: Sequence[Consent] | None
) -> Action:
    """The widest of what its grants show there; of masks the one that is granted first."""
    found: Action = "drop"
    for grant in grants:
        if (
            grant.needs_consent
            and consents is not None
            and not allows(consents, consumer_of(reader), path)
        ):
            continue
        action = _nearest(grant.fields, path, "drop")
        if action is None:
            return None
        if found == "drop":
            found = action
    return found


def _nearest(actions: Mapping[Path, Action], path: Path, default: Action) -> Action:
    """Of the path, else of what is around it."""
    for end in range(len(path), 0, -1):
        if path[:end] in actions:
            return actions[path[:end]]
    return default


def _tree(actions: Mapping[Path, Action], at: Path) -> _Node:
    """Only what differs from what is around it."""
    here = _nearest(actions, at, "drop")
    names = {path[len(at)] for path in actions if len(path) > len(at) and covers(at, path)}
    below = {name: _tree(actions, (*at, name)) for name in sorted(names)}
    return _Node(
        here, {name: one for name, one in below.items() if one.below or one.action != here}
    )


def _said(mask: MaskSpec) -> str:
    return mask if isinstance(mask, str) else f"the first {mask.prefix}"
