"""PlatformSessions: the platforms that are connected now, and which of them can take an
instruction.

A platform is present while its lease holds; a newer run of it takes over from an older one.
What is to be sent to it gathers here and goes out with the next message of its stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from control_plane.errors import Conflict
from data_sharing.instruction import Instruction


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFacts:
    """What a platform says of itself when it connects."""

    tenant: str
    name: str
    incarnation: str
    version: str
    capacity: int
    ttl_s: float
    wanted: tuple[tuple[str, str], ...]  # (application, version or "")
    connected_at_ms: int


@dataclass(slots=True, kw_only=True, eq=False)
class PlatformSession:
    """One stream of one platform."""

    facts: PlatformFacts
    ready: dict[tuple[str, str], str] = field(default_factory=dict)  # to the artifact's SHA-256
    in_flight: set[str] = field(default_factory=set)  # delivered, without recorded outcome
    leaving: bool = False
    gone: bool = False  # superseded, or its lease ended
    offers_due: bool = False
    last_seen_ms: int = 0
    outcomes: int = 0
    refusals: int = 0
    tokens: deque[str] = field(default_factory=deque)  # signed instructions to send
    recorded: deque[tuple[str, int]] = field(default_factory=deque)
    rejected: deque[tuple[str, int]] = field(default_factory=deque)
    output_ready: asyncio.Event = field(default_factory=asyncio.Event)

    def has_room(self) -> bool:
        return not self.leaving and not self.gone and len(self.in_flight) < self.facts.capacity

    def can_run(self, instruction: Instruction) -> bool:
        """Whether it has exactly that application."""
        artifact = self.ready.get((instruction.application, instruction.version))
        return artifact == instruction.artifact

    def send(self, token: str) -> None:
        self.tokens.append(token)
        self.output_ready.set()

    def acknowledge(self, instruction: str, attempt: int) -> None:
        """An outcome is recorded, and the platform need not report it again."""
        self.recorded.append((instruction, attempt))
        self.output_ready.set()

    def reject(self, instruction: str, attempt: int) -> None:
        """An outcome is none of its business, and need not be reported again."""
        self.rejected.append((instruction, attempt))
        self.output_ready.set()

    def end(self) -> None:
        """Its stream is to end."""
        self.gone = True
        self.output_ready.set()


class PlatformSessions:
    """All sessions of a server, by tenant and name."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], PlatformSession] = {}

    def __iter__(self) -> Iterator[PlatformSession]:
        return iter(list(self._sessions.values()))

    def get(self, tenant: str, name: str) -> PlatformSession | None:
        return self._sessions.get((tenant, name))

    def join(self, session: PlatformSession) -> PlatformSession | None:
        """From now on this is the platform's session; returns the one it took over from.
        Raises Conflict where a newer run of the platform is there."""
        key = (session.facts.tenant, session.facts.name)
        before = self._sessions.get(key)
        if before is not None and before.facts.incarnation > session.facts.incarnation:
            raise Conflict(
                f"a newer run of platform {session.facts.name} is connected; "
                "give each platform a name of its own"
            )
        self._sessions[key] = session
        return before

    def leave(self, session: PlatformSession) -> bool:
        """It is gone. False where another has taken over already."""
        key = (session.facts.tenant, session.facts.name)
        if self._sessions.get(key) is not session:
            return False
        del self._sessions[key]
        return True

    def able(self, instruction: Instruction) -> Sequence[PlatformSession]:
        """Those that have its application, whether they have room or not."""
        return [
            session
            for session in self._sessions.values()
            if session.facts.tenant == instruction.tenant and session.can_run(instruction)
        ]

    def choose(self, instruction: Instruction) -> PlatformSession | None:
        """The platform to send it to: the one that is least busy; None where none has room."""
        if instruction.platform:
            only = self.get(instruction.tenant, instruction.platform)
            return only if only and only.has_room() and only.can_run(instruction) else None
        return min(
            (session for session in self.able(instruction) if session.has_room()),
            key=lambda session: len(session.in_flight) / session.facts.capacity,
            default=None,
        )
