"""Reports and outcomes as messages, both ways. Whatever a platform sends is checked here."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from control_plane.errors import InvalidInput
from data_sharing.instruction import Performance, Performed
from data_sharing.platforms.reports import Report
from data_sharing.signing import InstructionRefusal, RefusalReason
from homeport.api.datasharing.v1 import decision_pb2 as decision
from homeport.api.datasharing.v1 import platform_pb2 as pb

MAX_ID_CHARACTERS = 128  # of an instruction; ours have 34
_STATUS = {
    Performance.DONE: decision.OUTCOME_STATUS_DONE,
    Performance.FAILED: decision.OUTCOME_STATUS_FAILED,
    Performance.TIMED_OUT: decision.OUTCOME_STATUS_TIMED_OUT,
    Performance.OUT_OF_MEMORY: decision.OUTCOME_STATUS_OUT_OF_MEMORY,
    Performance.TRAPPED: decision.OUTCOME_STATUS_TRAPPED,
    Performance.BAD_OUTPUT: decision.OUTCOME_STATUS_BAD_OUTPUT,
    Performance.REFUSED: decision.OUTCOME_STATUS_REFUSED,
    Performance.UNKNOWN: decision.OUTCOME_STATUS_UNKNOWN,
}
_PERFORMANCE = {number: status for status, number in _STATUS.items()}
_REASON = {
    RefusalReason.MALFORMED: pb.REFUSAL_REASON_MALFORMED,
    RefusalReason.FORGED: pb.REFUSAL_REASON_FORGED,
    RefusalReason.EXPIRED: pb.REFUSAL_REASON_EXPIRED,
    RefusalReason.NOT_YET_VALID: pb.REFUSAL_REASON_NOT_YET_VALID,
    RefusalReason.WRONG_PLATFORM: pb.REFUSAL_REASON_WRONG_PLATFORM,
    RefusalReason.STALE_FENCE: pb.REFUSAL_REASON_STALE_FENCE,
    RefusalReason.REPLAYED: pb.REFUSAL_REASON_REPLAYED,
    RefusalReason.NOT_HOSTED: pb.REFUSAL_REASON_NOT_HOSTED,
    RefusalReason.BUSY: pb.REFUSAL_REASON_BUSY,
}
_REASON_OF_NUMBER = {number: reason for reason, number in _REASON.items()}


def timestamp(at_ms: int) -> Timestamp:
    """Unix ms as a message."""
    return Timestamp(seconds=at_ms // 1000, nanos=at_ms % 1000 * 1_000_000)


def unix_ms(message: Timestamp) -> int:
    """A message as Unix ms; 0 where it is absent."""
    return message.seconds * 1000 + message.nanos // 1_000_000


def outcome_to_proto(performed: Performed) -> decision.Outcome:
    """An outcome for the wire."""
    return decision.Outcome(
        status=_STATUS[performed.status],
        output_json=performed.output,
        message=performed.message,
        start_time=timestamp(performed.started_at_ms) if performed.started_at_ms else None,
        end_time=timestamp(performed.ended_at_ms) if performed.ended_at_ms else None,
        platform=performed.platform,
        attempt=performed.attempt,
        replayed=performed.replayed,
    )


def report_to_proto(report: Report) -> pb.Report:
    """A report for the wire."""
    if isinstance(report, InstructionRefusal):
        return pb.Report(
            instruction_id=report.instruction,
            attempt=report.attempt,
            refusal=pb.Refusal(reason=_REASON[report.reason], message=report.message),
        )
    return pb.Report(
        instruction_id=report.instruction,
        attempt=report.attempt,
        outcome=outcome_to_proto(report),
    )


def report_from_proto(message: pb.Report, platform: str) -> Report:
    """A report of `platform`. Raises InvalidInput for what is none."""
    kind = message.WhichOneof("result")
    if len(message.instruction_id) > MAX_ID_CHARACTERS:
        raise InvalidInput("reports.instruction_id", "no instruction has so long an id")
    if kind == "refusal":
        reason = _REASON_OF_NUMBER.get(message.refusal.reason)
        if reason is None:
            raise InvalidInput("reports.refusal.reason", "a refusal needs a reason")
        return InstructionRefusal(
            reason=reason,
            message=message.refusal.message,
            instruction=message.instruction_id,
            attempt=message.attempt,
        )
    if kind is None or not message.instruction_id:
        raise InvalidInput("reports", "a report needs an instruction and what became of it")
    outcome = message.outcome
    status = _PERFORMANCE.get(outcome.status)
    if status is None:
        raise InvalidInput("reports.outcome.status", "an outcome needs a status")
    return Performed(
        instruction=message.instruction_id,
        attempt=outcome.attempt,
        status=status,
        platform=platform,
        output=outcome.output_json,
        message=outcome.message,
        started_at_ms=unix_ms(outcome.start_time),
        ended_at_ms=unix_ms(outcome.end_time),
        replayed=outcome.replayed,
    )
