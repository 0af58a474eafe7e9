"""The data-sharing service as the agent of applications needs it: a port and its values. Pure.

Whatever may help to be tried again later is Unavailable, or another ServiceError that says so.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MESSAGE_FEED = "homeport.message.received"
CLICK_FEED = "homeport.card.clicked"
REFUSED_FEED = "homeport.reply.refused"
OUTCOME_FEED = "homeport.instruction.outcome"
SPEAKER = "homeport-messages"  # the application that produces the first three; units speak for it
DONE = "done"  # the status of an instruction that was performed


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvent:
    """An event to publish. Known by source and id: the same again is kept once. caused_by: the
    instruction that led to it, by its id; empty: none did, a person began it."""

    type: str
    source: str
    id: str
    data: Mapping[str, Any]
    caused_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCause:
    """An event of ours for which something was performed."""

    source: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionOutcome:
    """What an instruction came to."""

    application: str
    instruction: str
    rule: str
    status: str
    time_ms: int  # Unix ms, as the outcome says it
    output: Any  # None also where it was too large for an event
    causes: tuple[PublishedCause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomePage:
    """Outcomes in the order of the log, and up to where it was looked through."""

    outcomes: tuple[InstructionOutcome, ...]
    position: int
    trimmed: bool = False  # some before the first one are gone: too old


class DataSharing(Protocol):
    """See the module."""

    async def addresses(self, tenant: str) -> Mapping[str, str]:
        """The application for which each account of the tenant answers."""
        ...

    async def publish(self, tenant: str, events: Sequence[FeedEvent]) -> list[str]:
        """Publishes 1 to 100 events in their order; for each why it was refused for good, empty
        where it is kept. Unavailable also where some may be taken later: then all are to be
        published again."""
        ...

    def outcomes(
        self, tenant: str, *, after: int | None, from_ms: int
    ) -> AsyncGenerator[OutcomePage]:
        """The outcomes of what our events caused, behind a position, or accepted since a time (Unix
        ms) where there is none yet; and then as they come, until the service ends it."""
        ...
