"""Parking: where a rule is not run because it failed too often in a row, and for how long.

A failure is counted for its producer at its key, for the key, for the producer and for the rule.
A success there ends all four rows. The narrowest scope that explains the failures is parked:

- one producer at one key, after `park_after` failures in a row there;
- the key for all producers, after as many at it that several producers had a part in (or of which
  no producer is known, as at the end of a window);
- a producer at all keys, after as many events of it without a readable key, or after failures at
  `park_wider_after` keys;
- the whole rule, after failures for `park_wider_after` producers (or keys, where no producer is
  known).

So the events of one producer never park another's, and those at one key never another key. What
is parked is tried again by the first event or timer after a while: a success ends the parking, a
failure doubles the while. Time is the argument that deciding has, so a replay parks alike.

Each scope's share is what Kubernetes does for a crashing container (back-off that doubles up to a
longest) behind what Nygard calls a circuit breaker ("Release It!", 2007): closed, open, half open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.evaluation_context import RuleResult
from data_sharing.rules.results import (
    ParkingChange,
    ParkingChangeKind,
    RuleOutcome,
    RuleVerdict,
)
from data_sharing.rules.rule_health import (
    LONGEST_ERROR,
    MOST_ROWS,
    FailureRow,
    ParkingScope,
    RuleHealth,
    bounded_name,
    digest,
)

# Only what was evaluated ends a row: a late event does not.
_JUDGED = (
    RuleVerdict.FIRED,
    RuleVerdict.NOT_MATCHED,
    RuleVerdict.PENDING,
    RuleVerdict.COOLDOWN,
    RuleVerdict.LIMITED,
    RuleVerdict.QUIET_HOURS,
    RuleVerdict.DEFERRED,
)
_UNKNOWN = ""  # producer


def parked_row(
    health: RuleHealth, keys: Iterable[str], source: str, now_ms: int
) -> FailureRow | None:
    """Why an event or timer is not decided: of the parked scopes that it falls under the one that
    is parked longest. None: decide it, as a retry where it falls under one whose time has come.
    source: empty for a timer."""
    source = bounded_name(source)
    names = {("", ""), ("", source)}
    for key in map(bounded_name, keys):
        names |= {(key, ""), (key, source)}
    found = [row for name in names if (row := health.rows.get(name)) is not None]
    waiting = [row for row in found if row.parked_ms is not None and now_ms < row.retry_ms]
    return max(waiting, key=lambda row: (row.retry_ms, row.key, row.source), default=None)


class FailureCount:
    """What results of one event or timer do to the health of their rule."""

    def __init__(self, rule: CompiledRule, health: RuleHealth, now_ms: int) -> None:
        self._rule, self._rows, self._now_ms = rule, health.rows, now_ms
        self.changed = False  # the health must be stored
        self.changes: list[ParkingChange] = []

    def add(self, found: Sequence[RuleResult], source: str) -> None:
        """source: the event's producer; empty for a timer. A key at which something failed and
        something else did not has failed."""
        failed: dict[str, RuleResult] = {}
        for one in found:
            if one.outcome.verdict is RuleVerdict.ERROR:
                failed.setdefault(bounded_name(one.outcome.key), one)
        for key, one in failed.items():
            self._fail(key, _producers(one.outcome, source), one.outcome.detail, one.feeding)
        for one in found:
            key = bounded_name(one.outcome.key)
            if one.outcome.verdict in _JUDGED and key not in failed:
                self._succeed(key, _producers(one.outcome, source), wide=not failed)

    def add_fed(self, keys: Iterable[str], source: str) -> None:
        """An event went into windows, and nothing was judged: that ends rows of failures to do
        so, and no others."""
        for name in _scopes(map(bounded_name, keys), (bounded_name(source),), wide=True):
            row = self._rows.get(name)
            if row is not None and row.feeding:
                self._end(name)

    def _fail(self, key: str, producers: Sequence[str], error: str, feeding: bool) -> None:
        known = producers[0] if len(producers) == 1 else _UNKNOWN
        names = _scopes((key,), (known,) if known else (), wide=True)
        for name in names:
            if name == (key, "") and known and self._is_parked(key, known):
                continue  # it is this producer's alone
            row = self._row(name, names)
            row.last_error, row.last_ms = error[:LONGEST_ERROR], self._now_ms
            row.feeding = feeding
            if row.parked_ms is not None:
                self._retry_failed(row)
                continue
            self._count(row, key, producers)
            if self._is_too_much(row):
                self._park(row)

    def _is_parked(self, key: str, source: str) -> bool:
        row = self._rows.get((key, source))
        return row is not None and row.parked_ms is not None

    def _count(self, row: FailureRow, key: str, producers: Sequence[str]) -> None:
        if row.key:
            row.failures += 1
            if not row.source:
                _note(row.sources, producers[0] if len(producers) == 1 else _UNKNOWN, 2)
        elif row.source:
            if key:
                _note(row.keys, key, self._rule.spec.park_wider_after)
            else:
                row.failures += 1
        elif producers:
            _note(row.sources, " ".join(producers), self._rule.spec.park_wider_after)
        elif key:
            _note(row.keys, key, self._rule.spec.park_wider_after)
        else:
            row.failures += 1

    def _is_too_much(self, row: FailureRow) -> bool:
        spec = self._rule.spec
        if row.key:
            one_producer_alone = not row.source and len(row.sources) == 1 and row.sources[0]
            return row.failures >= spec.park_after and not one_producer_alone
        wide = max(len(row.keys), len(row.sources)) >= spec.park_wider_after
        return wide or row.failures >= spec.park_after

    def _park(self, row: FailureRow) -> None:
        row.parked_ms, row.retries = self._now_ms, 0
        row.retry_ms = self._now_ms + self._rule.retry_after_ms
        self._change(ParkingChangeKind.PARKED, row.scope)
        if row.key and row.source:
            self._rows.pop((row.key, ""), None)  # what it had of this producer is explained

    def _retry_failed(self, row: FailureRow) -> None:
        if self._now_ms < row.retry_ms:
            return
        row.retries += 1
        # min() first: a power of a count that grows for ever would grow as well.
        doubled_ms = self._rule.retry_after_ms << min(row.retries, 40)
        row.retry_ms = self._now_ms + min(doubled_ms, self._rule.retry_at_most_ms)
        self._change(ParkingChangeKind.RETRY_FAILED, row.scope)

    def _succeed(self, key: str, producers: Sequence[str], *, wide: bool) -> None:
        """wide: for the producers and the rule as well."""
        for name in _scopes((key,), producers, wide=wide):
            self._end(name)

    def _end(self, name: tuple[str, str]) -> None:
        row = self._rows.pop(name, None)
        if row is None:
            return
        self.changed = True
        if row.parked_ms is not None:
            self._change(ParkingChangeKind.RETRY_SUCCEEDED, row.scope)

    def _row(self, name: tuple[str, str], together: Collection[tuple[str, str]]) -> FailureRow:
        """As the newest; where there are too many, the oldest that is not parked goes, else the
        oldest. together: of one failure, of which none makes room for another; nor does the
        rule's."""
        self.changed = True
        row = self._rows.pop(name, None)
        if row is None:
            row = FailureRow(*name)
            if len(self._rows) >= MOST_ROWS:
                del self._rows[self._least_needed(together)]
        self._rows[name] = row
        return row

    def _least_needed(self, together: Collection[tuple[str, str]]) -> tuple[str, str]:
        others = [name for name in self._rows if any(name) and name not in together]
        ended = (name for name in others if self._rows[name].parked_ms is None)
        return next(ended, others[0])

    def _change(self, kind: ParkingChangeKind, scope: ParkingScope) -> None:
        self.changes.append(ParkingChange(self._rule.id, kind, scope))


def _producers(outcome: RuleOutcome, source: str) -> tuple[str, ...]:
    """Whose events had a part in it; empty: that is not known."""
    named = {one.source for one in outcome.events}
    if source:
        named.add(source)
    return tuple(bounded_name(one) for one in sorted(named))


def _scopes(
    keys: Iterable[str], producers: Sequence[str], *, wide: bool
) -> dict[tuple[str, str], None]:
    """The names of rows that they fall under, each once, the narrowest first."""
    names: dict[tuple[str, str], None] = {}
    for key in keys:
        if key:
            names |= dict.fromkeys((key, one) for one in producers)
            names[key, ""] = None
    if wide:
        names |= dict.fromkeys(("", one) for one in producers)
        names["", ""] = None
    return names


def _note(names: list[str], name: str, most: int) -> None:
    """Remembers another one, unless there are enough."""
    short = name and digest(name)
    if len(names) < most and short not in names:
        names.append(short)
