"""FaultCollector: everything that is wrong with a document of rules, each named by its field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from control_plane.errors import InvalidInput


class InvalidDocument(InvalidInput):
    """`faults`: all that is wrong with it, each naming its field."""

    rest = "`homeport rules test` tells all of them, and needs no server"

    def __init__(self, faults: Sequence[InvalidInput]) -> None:
        super().__init__(faults[0].field, "\n".join(fault.message for fault in faults))
        self.faults = tuple(faults)


class FaultCollector:
    """Gathers what is wrong, so that an operator sees all of it at once; warnings: what may go
    wrong, each with its place, which hinders nothing."""

    def __init__(self) -> None:
        self.found: list[InvalidInput] = []
        self.warnings: list[str] = []

    def gather(self) -> Self:
        """`with faults.gather():` goes on after what is wrong inside."""
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, InvalidDocument):
            self.found += error.faults
        elif isinstance(error, InvalidInput):
            self.found.append(error)
        return isinstance(error, InvalidInput)

    def add(self, field: str, complaint: str) -> None:
        self.found.append(InvalidInput(field, f"{field}: {complaint}"))

    def warn(self, complaint: str) -> None:
        if complaint not in self.warnings:
            self.warnings.append(complaint)

    def raise_if_any(self) -> None:
        """Raises InvalidDocument where anything was found."""
        if self.found:
            raise InvalidDocument(self.found)


@contextmanager
def within(at: str) -> Iterator[None]:
    """What is wrong inside is named with where it stands."""
    try:
        yield
    except InvalidInput as error:
        field = f"{at}.{error.field}"
        raise InvalidInput(field, f"{at}.{error.message}") from None
