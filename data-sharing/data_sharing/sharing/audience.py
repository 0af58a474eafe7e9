"""Audience: who learns what an event says, and for which purpose. Pure.

What a rule reads, it tells: to whoever owns it, to each application that it has act, and into the
plans that it changes. So a rule has one audience of all of these, and sees what all of them may.
"""

from __future__ import annotations

from typing import NamedTuple

RULES, PLANS, OPERATORS = "tenant/rules", "tenant/plans", "tenant/operators"
"""Readers that are no application: no application's name has a slash."""


class Audience(NamedTuple):
    """readers: applications by name, and the tenant's own as above. purpose empty: none is
    stated, which no policy allows."""

    readers: frozenset[str]
    purpose: str

    def within(self, other: Audience) -> bool:
        """Whether what the other learns may be told to this one."""
        return self.purpose == other.purpose and self.readers <= other.readers

    @property
    def text(self) -> str:
        """For people."""
        return ", ".join(sorted(self.readers)) + f" for {self.purpose or 'no stated purpose'}"


def consumer_of(reader: str) -> str:
    """To whom a user gives consent for that reader: the application; empty: the tenant."""
    return "" if "/" in reader else reader
