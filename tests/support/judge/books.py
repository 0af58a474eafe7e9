"""The promises that the store's history alone can break, checked at every revision.

Shares no code with what it judges: keys and values are taken apart here, clients are counted
one by one. Holds what stands now, never the history, so a run may be as long as it likes.

P2: an assignment is written over only by a move, at the next epoch. P3: no unit gains a
client above its capacity. The books: clients at a unit are what its ledger says; nobody uses
more than its grant, takes a grant that is not free, writes without its session or settles
somebody alive; nobody gains a client under a fence that could not be adopted. A quota
of clients has books like a unit.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.support.judge.quotas import PREFIX, Quotas, session_of
from tests.support.judge.verdict import Verdict, Violation

ROOT = b"/homeport/v1/"


class Change(NamedTuple):
    """One key at one revision; `value` None: deleted."""

    name: str  # without the root
    value: bytes | None


class Home(NamedTuple):
    """Where a client is."""

    unit: str
    epoch: int
    at_ms: int


class Step(NamedTuple):
    """A client's home at a revision; `home` None: it has none from here on. `by_system`: a
    departure says that nobody asked for it."""

    client: str  # tenant/client
    revision: int
    home: Home | None
    by_system: bool


@dataclass(slots=True)
class Ledger:
    """capacity/<unit> as it stands."""

    capacity: int
    settled: int
    grants: dict[str, int]
    open: bool

    @classmethod
    def of(cls, value: bytes) -> Ledger:
        told = json.loads(value)
        return cls(told["capacity"], told.get("settled", 0), told.get("grants", {}),
                   told.get("open", True))  # fmt: skip

    @property
    def fits(self) -> bool:
        """Whether a fence read together with this may be adopted."""
        return self.open and self.settled + sum(self.grants.values()) <= self.capacity


@dataclass(slots=True)
class Unit:
    """One unit's books."""

    clients: int = 0
    ledger: Ledger | None = None
    usage: dict[str, int] = field(default_factory=dict)
    adoptable: bool = False  # whether anybody can have adopted the fence that stands


class Books:
    """Feed it revision by revision; it accuses in `verdict` and tells `on_step` of every
    client that moved."""

    def __init__(
        self, verdict: Verdict, *, on_step: Callable[[Step], None] = lambda step: None
    ) -> None:
        self.verdict = verdict
        self.on_step = on_step
        self.homes: dict[str, Home] = {}
        self.units: dict[str, Unit] = defaultdict(Unit)
        self.quotas = Quotas()
        self.sessions: set[str] = set()
        self.names_used: set[str] = set()
        self.fullest: Counter[str] = Counter()

    @property
    def clients(self) -> dict[str, int]:
        """Clients by unit, now."""
        return {
            unit: book.clients
            for unit, book in self.units.items()
            if book.clients and not unit.startswith(PREFIX)
        }

    @property
    def violations(self) -> list[Violation]:
        """Every broken promise found so far."""
        return self.verdict.violations

    @property
    def assigned(self) -> dict[str, str]:
        """The unit of each client (tenant/client), now."""
        return {client: home.unit for client, home in self.homes.items()}

    @property
    def holders(self) -> set[str]:
        """Provisioners that hold slots anywhere, now."""
        ledgers = [unit.ledger for unit in self.units.values() if unit.ledger]
        return {session_of(name) for ledger in ledgers for name in ledger.grants}

    def take(self, revision: int, changes: Sequence[Change]) -> None:
        """All changes of one revision."""
        self.verdict.revisions += 1
        parts: dict[str, dict[str, bytes | None]] = defaultdict(dict)
        for change in changes:
            kind, _, rest = change.name.partition("/")
            parts[kind][rest] = change.value
        living = set(self.sessions)
        self._sessions(revision, parts.get("sessions", {}))
        gained = self._assignments(revision, parts.get("assignments", {}), parts.get("moves", {}))
        touched = set(gained) | self._quotas(parts.get("tenants", {}))
        touched |= self._usage(revision, parts, living)
        touched |= self._capacity(revision, parts, living)
        for unit in touched:
            self._balance(revision, unit, gained.get(unit, 0))
        for unit in set(parts.get("fence", {})) | set(parts.get("capacity", {})):
            book = self.units[unit]
            fits = book.ledger is not None and book.ledger.fits
            book.adoptable = fits or (unit not in parts.get("fence", {}) and book.adoptable)

    def _sessions(self, revision: int, changes: dict[str, bytes | None]) -> None:
        for name, value in changes.items():
            if value is None:
                self.sessions.discard(name)
            else:
                if name in self.names_used and name not in self.sessions:
                    self._accuse("ledger", revision, f"sessions/{name}", "an id is used again")
                self.names_used.add(name)
                self.sessions.add(name)

    def _assignments(
        self, revision: int, changes: dict[str, bytes | None], moves: dict[str, bytes | None]
    ) -> dict[str, int]:
        """Applies them; how many clients each unit gained, less those it lost."""
        gained: Counter[str] = Counter()
        departed = {
            rest.partition("/")[2]: (rest.partition("/")[0], json.loads(value))
            for rest, value in moves.items()
            if value is not None
        }
        for client, value in changes.items():
            old = self.homes.get(client)
            left, departure = departed.get(client, ("", None))
            if value is None:
                if old is not None:
                    del self.homes[client]
                    gained[old.unit] -= 1
                    self._count(client, gained, -1)
                    told = departure is not None and left == old.unit and not departure["unit"]
                    self.on_step(Step(client, revision, None, told))
                continue
            told = json.loads(value)
            new = Home(told["unit"], told["epoch"], told["at_ms"])
            self.homes[client] = new
            gained[new.unit] += 1
            if old is not None:
                gained[old.unit] -= 1
                self._succession(revision, client, old, new, left, departure)
            else:
                self._count(client, gained, 1)
            if old is None and new.epoch < 1:
                self._accuse("P2", revision, client, f"begins at epoch {new.epoch}")
            if old is None or (old.unit, old.epoch) != (new.unit, new.epoch):
                self.on_step(Step(client, revision, new, False))
        for unit, count in gained.items():
            self.units[unit].clients += count
            self.fullest[unit] = max(self.fullest[unit], self.units[unit].clients)
        return dict(gained)

    def _count(self, client: str, gained: Counter[str], change: int) -> None:
        """It has come, or gone, where the clients of its tenant are counted."""
        quota = self.quotas.of(client)
        if quota is not None:
            gained[quota] += change

    def _quotas(self, changes: dict[str, bytes | None]) -> set[str]:
        """Quotas whose clients are all counted from here on."""
        begun = self.quotas.follow(changes, self.homes)
        for name in self.quotas.ended:
            self.units.pop(name, None)
        for name, clients in begun.items():
            self.units[name].clients = clients
        return set(begun)

    def _succession(
        self, revision: int, client: str, old: Home, new: Home, left: str, departure: Any
    ) -> None:
        """One home written over another."""
        change = f"{old.unit} at epoch {old.epoch} became {new.unit} at epoch {new.epoch}"
        if new.epoch == old.epoch:
            if new.unit != old.unit or new.at_ms != old.at_ms:
                self._accuse("P2", revision, client, f"{change}: assigned twice")
            return
        if new.epoch != old.epoch + 1:
            self._accuse("P2", revision, client, f"{change}: not the next epoch")
        if new.unit == old.unit:
            return
        self.verdict.moves += 1
        if departure is None or (left, departure["unit"], departure["epoch"]) != (
            old.unit, new.unit, new.epoch,
        ):  # fmt: skip
            self._accuse("P2", revision, client, f"{change}: its old unit is not told so")

    def _usage(
        self, revision: int, parts: dict[str, dict[str, bytes | None]], living: set[str]
    ) -> set[str]:
        touched = set()
        for rest, value in parts.get("usage", {}).items():
            unit, _, who = rest.partition("/")
            touched.add(unit)
            removed = parts.get("capacity", {}).get(unit, b"") is None
            if value is None:
                self.units[unit].usage.pop(who, None)
                if session_of(who) in living and not removed:
                    self._accuse("ledger", revision, f"usage/{rest}", f"{who} lives, is settled")
                continue
            self.units[unit].usage[who] = int(value)
            if session_of(who) not in living:
                self._accuse("ledger", revision, f"usage/{rest}", f"{who} writes without session")
        return touched

    def _capacity(
        self, revision: int, parts: dict[str, dict[str, bytes | None]], living: set[str]
    ) -> set[str]:
        fenced = parts.get("fence", {})
        for unit, value in parts.get("capacity", {}).items():
            book, key = self.units[unit], f"capacity/{unit}"
            old = book.ledger
            book.ledger = new = None if value is None else Ledger.of(value)
            if new is None:
                continue
            before = old.grants if old else {}
            for who in set(before) | set(new.grants):
                was, now = before.get(who, 0), new.grants.get(who, 0)
                alive = session_of(who) in living
                if now > was and not alive:
                    self._accuse("ledger", revision, key, f"{who} is granted without session")
                elif now > was and not new.fits:
                    self._accuse("ledger", revision, key, f"{who} takes a grant beyond {new}")
                elif now < was and alive and f"{unit}/{who}" not in parts.get("usage", {}):
                    self._accuse("ledger", revision, key, f"{who} lives and lost its grant")
            if old is not None and unit not in fenced:
                if new.capacity < old.capacity:
                    self._accuse("ledger", revision, key, "lowered without a new fence")
                elif old.open and not new.open:
                    self._accuse("ledger", revision, key, "closed without a new fence")
        return set(parts.get("capacity", {}))

    def _balance(self, revision: int, unit: str, gained: int) -> None:
        """One unit after one revision that touched it. Its `adoptable` is still the one
        before: a batch compares the fence that stood."""
        book, key = self.units[unit], f"capacity/{unit}"
        ledger = book.ledger
        if ledger is None:
            if book.clients:
                self._accuse("ledger", revision, key, f"{book.clients} clients at no unit")
            return
        if gained > 0:
            if book.clients > ledger.capacity:
                self._accuse("P3", revision, key, f"{book.clients} clients of {ledger.capacity}")
            if not book.adoptable:
                self._accuse("ledger", revision, key, "gains clients under a fence nobody may use")
        told = ledger.settled + sum(book.usage.values())
        if told != book.clients:
            self._accuse("ledger", revision, key, f"{book.clients} clients, the books say {told}")
        for who, used in book.usage.items():
            if used > max(0, ledger.grants.get(who, 0)):
                granted = ledger.grants.get(who, 0)
                self._accuse("ledger", revision, key, f"{who} uses {used} of {granted} granted")

    def compare(self, revision: int, pairs: Iterable[tuple[str, bytes]]) -> None:
        """The assignments that the store shows at the end against those its history tells."""
        shown = {}
        for client, value in pairs:
            told = json.loads(value)
            shown[client] = (told["unit"], told["epoch"])
        known = {client: (home.unit, home.epoch) for client, home in self.homes.items()}
        for client in set(shown) ^ set(known) | {
            c for c in set(shown) & set(known) if shown[c] != known[c]
        }:
            what = f"history says {known.get(client)}, the store {shown.get(client)}"
            self._accuse("P1", revision, client, what)

    def _accuse(self, promise: str, revision: int, key: str, what: str) -> None:
        self.verdict.accuse(promise, revision, key, what)
