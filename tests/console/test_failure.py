"""Exit codes of errors: each by what it means, whether it is raised here or comes over the wire."""

from __future__ import annotations

import pytest

from console.cli.failure import ExitCode, code_of_status, failure_of
from control_plane.errors import ServiceError
from control_plane.serving.status import CODES as STATUSES
from homeport.failure import Code

CODES = {
    Code.INVALID_ARGUMENT: ExitCode.USAGE,
    Code.NOT_FOUND: ExitCode.NOT_FOUND,
    Code.FAILED_PRECONDITION: ExitCode.REFUSED,
    Code.ALREADY_EXISTS: ExitCode.REFUSED,
    Code.RESOURCE_EXHAUSTED: ExitCode.REFUSED,
    Code.UNAVAILABLE: ExitCode.UNAVAILABLE,
    Code.DEADLINE_EXCEEDED: ExitCode.UNAVAILABLE,
}


@pytest.mark.parametrize("code", Code, ids=lambda code: code.value)
def test_each_status_has_the_exit_code_of_the_reference(code: Code) -> None:
    assert code_of_status(code.value) is CODES.get(code, ExitCode.FAILED)


@pytest.mark.parametrize("kind", [kind for kind, _ in STATUSES], ids=lambda kind: kind.__name__)
def test_an_error_of_ours_exits_as_it_would_over_the_wire(kind: type[ServiceError]) -> None:
    error = kind("field", "why") if kind.__init__ is not ServiceError.__init__ else kind("why")
    failure = failure_of(error)
    assert failure is not None
    assert failure.code is code_of_status(dict(STATUSES)[kind].name)
