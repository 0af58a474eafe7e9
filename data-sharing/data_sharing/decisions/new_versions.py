"""What becomes of a rule when a document with it is applied: nothing, a new version in force, or
one that begins a rollout. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from control_plane.errors import Refused
from data_sharing.decisions.rule_tables import RuleVersion
from data_sharing.rules.rollout import ALWAYS, Activation, Rollout, activations
from data_sharing.rules.spec import RuleSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRule:
    """What there is of a rule. in_force None: nothing. candidate: of the rollout that is going on.
    newest: the greatest version it has had."""

    in_force: RuleVersion | None = None
    candidate: RuleVersion | None = None
    newest: int = 0


class NextVersion(NamedTuple):
    """rollout: that it begins; None: it begins none."""

    version: RuleVersion
    rollout: Rollout | None


def next_version(tenant: str, spec: RuleSpec, known: KnownRule, now_ms: int) -> NextVersion:
    """Raises Refused where another version is being rolled out."""
    before, candidate = known.in_force, known.candidate
    if candidate is not None:
        if candidate.spec == spec:
            return NextVersion(candidate, None)
        raise Refused(
            f"rule {spec.rule}: version {candidate.version} is being rolled out; promote it or "
            f"take it back with `homeport rules rollout abort {spec.rule}` first"
        )
    live = before is not None and not before.retired
    if before is not None and before.spec.content == spec.content and (live or not spec.rollout):
        return NextVersion(replace(before, retired=False), None)
    state = before.activation if before is not None and live else ALWAYS
    version = RuleVersion(
        tenant=tenant,
        version=known.newest + 1,
        spec=spec,
        applied_ms=now_ms,
        activation=state,
    )
    if spec.rollout is None:
        return NextVersion(version, None)
    rollout = Rollout(
        candidate=version.version,
        stable=before.version if before is not None and live else 0,
        began_ms=now_ms,
        step_began_ms=now_ms,
        reason="applied",
    )
    ours = _new_activation(rollout, spec, state)
    return NextVersion(replace(version, activation=ours), rollout)


def _new_activation(rollout: Rollout, spec: RuleSpec, state: Activation) -> Activation:
    assert spec.rollout is not None
    _, ours = activations(rollout, spec.rollout, rule=spec.rule, state=state.state)
    return ours
