"""Where a client is at home: what commands that act for a client open first."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from console.cli.output import busy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.cli.calls.accounts import AccountCalls
    from console.cli.profile import Target

    CallsT = TypeVar("CallsT", bound=AccountCalls)


@contextmanager
def calls_at_home(kind: type[CallsT], target: Target, client: str) -> Iterator[CallsT]:
    """Calls of this kind to the unit of a client, with its ticket. Raises CommandFailed."""
    from console.cli.commands.clients import connect

    with busy("asking"):
        with connect(target) as service:
            home = service.get(client)
        with kind.at(target, home) as calls:
            yield calls
