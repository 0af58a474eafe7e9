"""Rollouts and pauses of rules as messages."""

from __future__ import annotations

from data_sharing.decisions.pause_tables import Pause
from data_sharing.decisions.rollout_tables import EndedInstructions, RolloutMove
from data_sharing.decisions.rollouts import RolloutStatus
from data_sharing.platforms.messages import timestamp
from data_sharing.rules.rollout import BUCKETS, RolloutPhase, share_of
from data_sharing.rules.rollout_counts import Comparison
from homeport.api.datasharing.v1 import rule_pb2 as pb

_PHASES = {
    RolloutPhase.PROGRESSING: pb.ROLLOUT_PHASE_PROGRESSING,
    RolloutPhase.HELD: pb.ROLLOUT_PHASE_HELD,
    RolloutPhase.PROMOTED: pb.ROLLOUT_PHASE_PROMOTED,
    RolloutPhase.ABORTED: pb.ROLLOUT_PHASE_ABORTED,
}


def rollout_to_proto(status: RolloutStatus, *, whole: bool = True) -> pb.Rollout:
    """whole: with differences and history."""
    rollout, counts = status.rollout, status.counts
    return pb.Rollout(
        candidate_version=rollout.candidate,
        stable_version=rollout.stable,
        phase=_PHASES[rollout.phase],
        step=rollout.step + 1,
        steps=len(status.spec.steps),
        share_percent=share_of(rollout, status.spec) * 100 / BUCKETS,
        begin_time=timestamp(rollout.began_ms),
        step_begin_time=timestamp(rollout.step_began_ms),
        reason=rollout.reason,
        comparison=pb.RolloutComparison(
            same=counts.same,
            more=counts.more,
            less=counts.less,
            other=counts.other,
            failed=counts.failed,
        ),
        candidate_instructions=_ended(status.candidate),
        stable_instructions=_ended(status.stable),
        differences=map(_difference, counts.examples if whole else ()),
        history=map(_move, status.history if whole else ()),
    )


def pause_to_proto(pause: Pause) -> pb.Pause:
    return pb.Pause(
        pause_time=timestamp(pause.since_ms),
        operator=pause.by,
        reason=pause.reason,
        resuming=pause.resuming,
        waiting_events=pause.waiting,
        lost_events=pause.lost,
    )


def _ended(ended: EndedInstructions) -> pb.EndedInstructions:
    return pb.EndedInstructions(done=ended.done, failed=ended.failed)


def _difference(one: Comparison) -> pb.RolloutDifference:
    return pb.RolloutDifference(
        kind=one.kind,
        decide_time=timestamp(one.at_ms),
        position=one.position,
        cause=one.cause,
        key=one.key,
        stable_effects=one.stable,
        candidate_effects=one.candidate,
    )


def _move(move: RolloutMove) -> pb.RolloutMove:
    return pb.RolloutMove(
        candidate_version=move.candidate,
        move_time=timestamp(move.time_ms),
        phase=_PHASES[move.phase],
        step=move.step + 1,
        reason=move.reason,
        operator=move.by,
    )
