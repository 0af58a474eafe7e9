"""What is asked of offloading: a task by name, for a tenant, with plain data in and out.

A task is a plain function of a module that child processes import. While it runs it may ask
whoever submitted it for more, by `ask`; the answer is made on the event loop and must be cheap
there. It may take time; it never raises.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from control_plane.errors import InvalidInput

Ask: TypeAlias = Callable[[Any], Any]
"""Question to answer, both plain data: what msgpack can say."""

Answer: TypeAlias = Callable[[Any], Any | Awaitable[Any]]
"""The same of whoever submitted the task; it may have to wait for the answer."""

Task: TypeAlias = Callable[[Any, Ask], Any]
"""(arguments, ask) to the result. Raises ServiceError, which whoever submitted it gets."""

Tasks: TypeAlias = Mapping[str, Task]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLimits:
    """What one task may use. cpu_s: of a processor, which is what a caller is told. wall_s: until
    it is given up, which a busy machine can be the reason for. Sizes: bytes."""

    cpu_s: float = 2.0
    wall_s: float = 20.0
    memory_bytes: int = 1 << 30  # of address space, on top of what the process has
    result_bytes: int = 16 << 20
    questions: int = 8


class TooCostly(InvalidInput):
    """A task went past its limits: what was submitted is too large or too complicated. `field`
    names it."""

    reason = "TOO_COSTLY"


class Offload(Protocol):
    """Runs tasks somewhere where their cost hurts nobody else."""

    async def offload(
        self,
        task: str,
        arguments: Any,
        *,
        tenant: str,
        subject: str,
        answer: Answer | None = None,
    ) -> Any:
        """The result. subject: the field that was submitted, as errors name it. answer: to the
        task's questions.

        Raises what the task raises; TooCostly where it goes past its limits; Exhausted where the
        tenant, or everybody together, has too much waiting; Unavailable where the machine could
        not do it in time."""
        ...
