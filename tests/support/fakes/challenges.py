"""ChallengeReader: a table in place of DNS."""

from __future__ import annotations

from dataclasses import dataclass, field

from provisioner.organisations.challenges import NOT_SAID, ChallengeAnswer, challenge_value


@dataclass
class ChallengeTable:
    """tokens: that are published, by domain. silent: domains of which nothing is heard; asked: what
    was, in order."""

    tokens: dict[str, set[str]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def publish(self, domain: str, token: str) -> None:
        self.tokens.setdefault(domain, set()).add(token)

    def withdraw(self, domain: str, token: str = "") -> None:
        """One record, or all."""
        kept = self.tokens.get(domain, set()) - {token} if token else set()
        self.tokens[domain] = kept

    async def read(self, domain: str) -> ChallengeAnswer:
        """See ChallengeReader."""
        self.asked.append(domain)
        if domain in self.silent:
            return NOT_SAID
        values = map(challenge_value, self.tokens.get(domain, ()))
        return ChallengeAnswer(values=frozenset(values), conclusive=True)
