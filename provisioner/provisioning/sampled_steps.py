"""SampledSteps: how long the steps of provisioning one client take, of one call in each tenth of
a second at most. Timing every call would cost more than some of the steps do.

`due` is set by whoever counts the time, and the next call that begins is the sample. Steps are
measured one after the other, each from the end of the one before; a sample that goes another way,
because it fails or its client is known, has only the steps that it came to.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from control_plane.histogram import FINE_SECONDS, SECONDS, Histogram


class Step(StrEnum):
    """From a call to its answer, in this order."""

    ADMIT = "admit"  # read the message, find out who calls, quotas
    LOCATE = "locate"
    DECIDE = "decide"  # which unit
    RECORD = "record"  # until the assignment is durable, waiting for its turn included
    ANSWER = "answer"  # sign the ticket, write the answer


class SampledSteps:
    """clock: monotonic seconds. open: whether the call that is read now is the sample; active:
    whether what is decided now is; pending: the sample while it is being recorded."""

    __slots__ = ("_clock", "_since", "active", "due", "open", "pending", "seconds")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = 0.0  # when the step under way began
        self.due = False
        self.open = False
        self.active = False
        self.pending: object = None
        self.seconds: dict[tuple[str, ...], Histogram] = {
            (step.value,): Histogram(SECONDS if step is Step.RECORD else FINE_SECONDS)
            for step in Step
        }

    def begin(self) -> None:
        """The call that begins now is the sample."""
        self.due, self.open, self.pending = False, True, None
        self._since = self._clock()

    def done(self, step: Step) -> None:
        """A step of the sample is over."""
        now = self._clock()
        self.seconds[(step.value,)].observe(max(0.0, now - self._since))
        self._since = now

    def located(self) -> None:
        """It is known where the client is."""
        self.done(Step.LOCATE)
        self.open, self.active = False, True

    def decided(self, pending: object) -> None:
        """The unit is chosen; the sample goes on when `pending` is durable."""
        self.done(Step.DECIDE)
        self.active, self.pending = False, pending

    def answered(self) -> None:
        """The sample is over."""
        self.done(Step.ANSWER)
        self.pending = None
