"""Rollout: how a new version of a rule comes into force step by step, and which of two versions
acts for which keys meanwhile.

For one key exactly one version acts: a hash of the key, the same for every version of a rule, puts
it into one of 10,000 buckets; the new version has those below its share, the other one the rest. So
a share that grows only adds keys. The words are those of progressive delivery (Argo Rollouts,
Flagger): steps, hold, promote, abort. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

from data_sharing.forecasts.spec import duration_ms
from data_sharing.rules.spec import RolloutSpec, StepSpec

BUCKETS = 10_000
CANDIDATE = "@candidate"  # follows a rule's id, which has no @


class RolloutPhase(StrEnum):
    PROGRESSING = "progressing"  # the next step comes by itself, or with an operator
    HELD = "held"  # an operator says what is next
    PROMOTED = "promoted"  # the new version is in force for all keys
    ABORTED = "aborted"  # the version before is, as if nothing had been


LIVE = (RolloutPhase.PROGRESSING, RolloutPhase.HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """stable, candidate: versions; stable 0: there was none before. step: index. compared,
    differing: decisions until this step began. reason: of the last change."""

    candidate: int
    stable: int
    phase: RolloutPhase = RolloutPhase.PROGRESSING
    step: int = 0
    began_ms: int = 0
    step_began_ms: int = 0
    compared: int = 0
    differing: int = 0
    reason: str = ""

    @property
    def live(self) -> bool:
        """Whether two versions decide."""
        return self.phase in LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """How a version of a rule decides. state: the name of its cells and timers; empty: the rule's
    id. acts_from, acts_to: the buckets of keys for which it acts; elsewhere it decides without
    acting. rollout: the candidate of the rollout that it is part of; 0: of none. other: the
    state of the other version in it."""

    state: str = ""
    candidate: bool = False
    acts_from: int = 0
    acts_to: int = BUCKETS
    rollout: int = 0
    paused: bool = False
    other: str = ""

    def acts_for(self, rule: str, key: str) -> bool:
        """Whether it acts at a key of this rule."""
        if self.acts_from == 0 and self.acts_to == BUCKETS:
            return True
        return self.acts_from <= bucket_of(rule, key) < self.acts_to


ALWAYS = Activation()


class RolloutFacts(NamedTuple):
    """What is known of the new version. compared, differing: decisions, ever. done, failed:
    instructions of it that ended in this step and within the time that counts."""

    compared: int = 0
    differing: int = 0
    done: int = 0
    failed: int = 0


def bucket_of(rule: str, key: str) -> int:
    """0 to BUCKETS - 1. The rule is part of it, so that not the same keys are first everywhere."""
    digest = blake2b(f"{rule}\0{key}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % BUCKETS


def share_of(rollout: Rollout, spec: RolloutSpec) -> int:
    """Buckets for which the new version acts."""
    if rollout.phase is RolloutPhase.PROMOTED:
        return BUCKETS
    if rollout.phase is RolloutPhase.ABORTED:
        return 0
    share = spec.steps[rollout.step].share
    return 0 if share is None else round(share * BUCKETS / 100)


def activations(
    rollout: Rollout, spec: RolloutSpec, *, rule: str, state: str
) -> tuple[Activation, Activation]:
    """Of the version in force and of the new one, while two decide. state: of the former."""
    share = share_of(rollout, spec)
    ours = state_of(rule, rollout.candidate)
    stable = Activation(state=state, acts_from=share, rollout=rollout.candidate, other=ours)
    return stable, Activation(
        state=ours,
        candidate=True,
        acts_to=share,
        rollout=rollout.candidate,
        other=(state or rule) if rollout.stable else "",
    )


def state_of(rule: str, version: int) -> str:
    """The name of the cells and timers of a version that began in a rollout."""
    return f"{rule}@{version}"


def advanced(
    rollout: Rollout, spec: RolloutSpec, facts: RolloutFacts, now_ms: int
) -> Rollout | None:
    """What it is now by itself; None: what it was."""
    if rollout.phase is not RolloutPhase.PROGRESSING:
        return None
    why = why_not_further(rollout, spec, facts)
    if why:
        abort = spec.hold.then == "abort"
        return aborted(rollout, why) if abort else held(rollout, why)
    step = spec.steps[rollout.step]
    if step.lasts is None and step.decisions is None:
        return None
    if step.lasts is not None and now_ms - rollout.step_began_ms < duration_ms(step.lasts, "for"):
        return None
    compared = facts.compared - rollout.compared
    if step.decisions is not None and compared < step.decisions:
        return None
    return promoted(rollout, spec, facts, now_ms, f"step {step_text(step)} is over")


def why_not_further(rollout: Rollout, spec: RolloutSpec, facts: RolloutFacts) -> str:
    """Which condition for a hold is met; empty: none."""
    differs, failed = spec.hold.differs, spec.hold.failed
    compared = facts.compared - rollout.compared
    differing = facts.differing - rollout.differing
    if differs is not None and compared >= differs.of and differing > differs.share * compared:
        return (
            f"{differing:,} of {compared:,} decisions differ from version {rollout.stable}, "
            f"more than {differs.share:.2%}"
        )
    ended = facts.done + facts.failed
    if failed.count is not None and facts.failed >= failed.count:
        return f"{facts.failed:,} instructions of version {rollout.candidate} failed"
    if ended >= failed.of and facts.failed > failed.share * ended:
        return (
            f"{facts.failed:,} of {ended:,} instructions of version {rollout.candidate} failed, "
            f"more than {failed.share:.2%}"
        )
    return ""


def promoted(
    rollout: Rollout,
    spec: RolloutSpec,
    facts: RolloutFacts,
    now_ms: int,
    reason: str,
    *,
    full: bool = False,
) -> Rollout:
    """One step further, or all of them; after the last one the new version is in force."""
    if full or rollout.step + 1 >= len(spec.steps):
        return replace(rollout, phase=RolloutPhase.PROMOTED, step_began_ms=now_ms, reason=reason)
    return replace(
        rollout,
        phase=RolloutPhase.PROGRESSING,
        step=rollout.step + 1,
        step_began_ms=now_ms,
        compared=facts.compared,
        differing=facts.differing,
        reason=reason,
    )


def held(rollout: Rollout, reason: str) -> Rollout:
    """It stays at its step until an operator promotes or aborts it."""
    return replace(rollout, phase=RolloutPhase.HELD, reason=reason)


def aborted(rollout: Rollout, reason: str) -> Rollout:
    """The version before acts for all keys again."""
    return replace(rollout, phase=RolloutPhase.ABORTED, reason=reason)


def step_text(step: StepSpec) -> str:
    """For people."""
    return "shadow" if step.shadow else f"{step.share:g} % of keys"
