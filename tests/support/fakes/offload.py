"""Offload that does tasks here and now, through the same plain data as processes would."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from control_plane.errors import ServiceError
from control_plane.offloading.messages import HEADER_BYTES, error_of, error_value, frame, unframed
from control_plane.offloading.port import Ask, Tasks
from data_sharing.api.offloaded_tasks import TASKS


@dataclass
class FakeOffload:
    """failure: what the next task ends in. done: the tasks that were asked for, with whose."""

    tasks: Tasks = field(default_factory=lambda: TASKS)
    failure: ServiceError | None = None
    done: list[tuple[str, str]] = field(default_factory=list)

    async def offload(
        self, task: str, arguments: Any, *, tenant: str, subject: str, answer: Ask | None = None
    ) -> Any:
        self.done.append((task, tenant))
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

        def ask(question: Any) -> Any:
            assert answer is not None
            return _carried(answer(_carried(question)))

        try:
            return _carried(self.tasks[task](_carried(arguments), ask))
        except ServiceError as error:
            raise error_of(_carried(error_value(error))) from None


def _carried(value: Any) -> Any:
    return unframed(frame(value)[HEADER_BYTES:])
