"""The record that proves a domain: how it is called, what it says, and what came of looking for it.

_homeport-challenge.<domain>  TXT  "homeport-domain-verification=<token>"
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from provisioner.organisations.domain import Observation

LABEL = "_homeport-challenge"
PREFIX = "homeport-domain-verification="
MOST_VALUES = 64  # of one name that are looked at


def challenge_name(domain: str) -> str:
    """Where the record is, for a domain in A-labels."""
    return f"{LABEL}.{domain}"


def challenge_value(token: str) -> str:
    """What it says."""
    return PREFIX + token


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeAnswer:
    """What one name server, or several, said. values: texts at the name, each in one piece.
    conclusive: that it is all there is."""

    values: frozenset[str] = frozenset()
    conclusive: bool

    def observe(self, token: str) -> Observation:
        """Of the record with this token."""
        if challenge_value(token) in self.values:
            return Observation.FOUND
        return Observation.MISSING if self.conclusive else Observation.UNKNOWN


NOT_SAID = ChallengeAnswer(conclusive=False)


def combined(resolvers: Iterable[ChallengeAnswer], own: ChallengeAnswer | None) -> ChallengeAnswer:
    """What resolvers said, and the domain's own name servers. Where no resolver gives an answer,
    none counts: they check signatures, and the others do not. What is missing has to be missing
    everywhere; a resolver may remember for a while what its servers have already changed. own None:
    its own servers are none that may be asked, and what resolvers say is all."""
    asked = list(resolvers)
    if not any(one.conclusive or one.values for one in asked):
        return NOT_SAID
    every = asked if own is None else [*asked, own]
    return ChallengeAnswer(
        values=frozenset().union(*(one.values for one in every)),
        conclusive=all(one.conclusive for one in every),
    )


class ChallengeReader(Protocol):
    """Looks for records."""

    async def read(self, domain: str) -> ChallengeAnswer:
        """Of a domain in A-labels. Takes a bounded time, and raises nothing of DNS: what could not
        be asked is inconclusive."""
        ...
