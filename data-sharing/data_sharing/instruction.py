"""Instruction: one action that an application is to perform, because of these events.

A plain value that crosses every layer, like Event: decisions make it, platforms perform it.
Its id is a function of what caused it, so whoever decides the same twice, a worker that was
killed before its transaction ended, or one that follows on it, orders the same thing once.
How it is signed is in data_sharing.signing, how it is kept in data_sharing.decisions, how it
reaches a platform in data_sharing.delivery.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

OUTCOME_FEED = "homeport.instruction.outcome"  # outcomes come back as events of this type


class Cause(NamedTuple):
    """An event that led to something, by its name."""

    source: str
    id: str
    type: str = ""  # empty: not known
    position: int = 0  # in the log; 0: not known


class ApprovalTerms(msgspec.Struct, frozen=True, kw_only=True):
    """On which terms a person lets an instruction go. expires_ms: how long it waits for that; 0:
    until its deadline. by: names of callers, any of whom may; empty: whoever has the role.
    four_eyes: not who applied the rule that decided it."""

    expires_ms: int = 0
    by: tuple[str, ...] = ()
    role: str = "operator"
    four_eyes: bool = False


NO_TERMS = ApprovalTerms()


def stricter(one: ApprovalTerms, other: ApprovalTerms) -> ApprovalTerms:
    """What satisfies both; where nobody is named by both, nobody may."""
    waits = [each.expires_ms for each in (one, other) if each.expires_ms]
    names = one.by or other.by
    if one.by and other.by:
        names = tuple(name for name in one.by if name in other.by) or ("nobody",)
    return ApprovalTerms(
        expires_ms=min(waits, default=0),
        by=names,
        role="admin" if "admin" in (one.role, other.role) else "operator",
        four_eyes=one.four_eyes or other.four_eyes,
    )


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be performed. It names the artifact, so a platform runs that and no other."""

    id: str
    tenant: str
    application: str
    version: str
    artifact: str  # SHA-256 of it, hex
    action: str
    configuration: Mapping[str, Any]  # the action's input
    deadline_ms: int  # Unix ms; not started after it
    idempotent: bool  # whether performing it twice is as good as once
    decided_at_ms: int
    rule: str = ""  # empty: a plan's own action
    rule_version: int = 0
    plan: str = ""
    occurrence_ms: int = 0  # of the plan, as it was planned; 0: none
    platform: str = ""  # the only one that may perform it; empty: any that has the application
    modification: Mapping[str, Any] | None = None  # how the plan had been changed by then
    causes: tuple[Cause, ...] = ()
    trace: str = ""  # of the decision (data_sharing.spans); empty: none
    decision: str = ""  # that ordered it
    correlation: str = ""  # the flow that it is of
    hops: int = 0  # decisions in its flow up to it, its own included
    caused_by: tuple[str, ...] = ()  # applications whose events were among the causes, by name;
    # not signed, for it says who may read the outcome, and nothing to a platform


def outcome_id(instruction: str, attempt: int) -> str:
    """Of the event that tells an outcome."""
    return f"{instruction}/{attempt}"


def instruction_of_outcome(name: str) -> str:
    """The instruction that such an event, or the instruction itself, is named after; empty: it is
    no name of either.

    >>> instruction_of_outcome("i-7/2"), instruction_of_outcome("i-7"), instruction_of_outcome("e7")
    ('i-7', 'i-7', '')
    """
    return name.partition("/")[0] if name.startswith("i-") else ""


class Performance(StrEnum):
    """How performing it ended: what the runtime says, and `unknown`."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    OUT_OF_MEMORY = "out-of-memory"
    TRAPPED = "trapped"
    BAD_OUTPUT = "bad-output"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # the platform died while it ran, and running it again is no option


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """The outcome of an instruction, as its platform recorded it."""

    instruction: str  # id
    attempt: int  # from 1
    status: Performance
    platform: str
    output: str = ""  # JSON, when DONE
    message: str = ""  # one sentence, unless DONE
    started_at_ms: int = 0  # by the platform's clock
    ended_at_ms: int = 0
    replayed: bool = field(default=False, compare=False)  # told once more, not run once more


def instruction_id(*because: str | int) -> str:
    """An id that is a function of its parts: those of an effect of a rule (tenant, source and
    id of the event, rule, its version, number of the effect), or of a planned action (tenant,
    plan, occurrence, action). Parts are told apart by their lengths.

    >>> instruction_id("t", "ab", "c") == instruction_id("t", "a", "bc")
    False
    """
    texts = [str(part).encode() for part in because]
    parts = b"".join([b"%d:%b" % (len(text), text) for text in texts])
    return "i-" + hashlib.blake2b(parts, digest_size=16).hexdigest()
