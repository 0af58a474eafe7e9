"""What a platform has to tell the service with its next message."""

from __future__ import annotations

import pytest

from data_sharing.instruction import Performance, Performed
from data_sharing.platforms.messages import report_from_proto, report_to_proto
from data_sharing.platforms.reports import Report, ReportQueue
from data_sharing.signing import InstructionRefusal, RefusalReason
from homeport.api.datasharing.v1 import platform_pb2 as pb
from tests.support.instructions import NOW_MS

DONE = Performed(instruction="i-1", attempt=1, status=Performance.DONE, platform="hub")
REFUSED = InstructionRefusal(
    reason=RefusalReason.BUSY, message="as much as it takes", instruction="i-2", attempt=3
)


def test_reports_leave_in_the_order_in_which_they_came() -> None:
    queue = ReportQueue()
    queue.set_connected(True)
    for report in (DONE, REFUSED):
        queue.put(report)
    assert len(queue) == 2
    assert [queue.pop(), queue.pop()] == [DONE, REFUSED]
    with pytest.raises(IndexError):
        queue.pop()


def test_a_refusal_is_only_for_a_service_that_is_there() -> None:
    queue = ReportQueue()
    queue.put(REFUSED)
    queue.put(DONE)
    queue.set_connected(True)
    queue.set_connected(False)
    queue.put(REFUSED)
    assert len(queue) == 1
    assert queue.pop() == DONE


def test_a_new_stream_begins_with_the_applications_and_without_old_reports() -> None:
    queue = ReportQueue()
    queue.put(DONE)
    assert queue.pop_applications_changed()
    assert not queue.pop_applications_changed()
    queue.begin_stream()
    assert len(queue) == 0
    assert queue.pop_applications_changed()


def test_whatever_there_is_to_tell_wakes_the_connection() -> None:
    queue = ReportQueue()
    for put in (lambda: queue.put(DONE), queue.applications_changed):
        queue.changed.clear()
        put()
        assert queue.changed.is_set()
    queue.changed.clear()
    queue.put(REFUSED)
    assert not queue.changed.is_set(), "nobody is there to hear of a refusal"


@pytest.mark.parametrize(
    "report",
    [
        *(
            Performed(
                instruction="i-1", attempt=2, status=status, platform="hub", output="{}",
                message="so it is", started_at_ms=NOW_MS, ended_at_ms=NOW_MS + 5,
            )
            for status in Performance
        ),
        *(
            InstructionRefusal(reason=reason, message="no", instruction="i-2", attempt=3)
            for reason in RefusalReason
        ),
    ],
    ids=lambda report: str(getattr(report, "status", None) or report.reason),
)  # fmt: skip
def test_a_report_survives_the_wire(report: Report) -> None:
    message = pb.Report.FromString(report_to_proto(report).SerializeToString())
    assert report_from_proto(message, "hub") == report
