"""Where a client is at home: what commands that act for a client open first."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from console.cli.output import busy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    from console.cli.calls.accounts import AccountCalls
    from console.cli.profile import Target

    CallsT = TypeVar("CallsT", bound=AccountCalls)


def opened_at_home(kind: type[CallsT], target: Target, client: str) -> CallsT:
    """Calls of this kind to the unit where a client is at home by now, with a new ticket; to be
    entered. Raises CommandFailed."""
    from console.cli.commands.clients import connect

    with connect(target) as service:
        home = service.get(client)
    return kind.at(target, home)


@contextmanager
def calls_at_home(kind: type[CallsT], target: Target, client: str) -> Iterator[CallsT]:
    """The same, entered, with a spinner for as long as it lasts: for what prints nothing
    meanwhile."""
    with busy("asking"), opened_at_home(kind, target, client) as calls:
        yield calls


def talking_at_home(kind: type[CallsT], target: Target, client: str) -> CallsT:
    """The same, with a spinner only until the home is known: for what prints or asks meanwhile."""
    with busy("asking"):
        return opened_at_home(kind, target, client)


def one_at_a_time(opened: ExitStack, open_calls: Callable[[], CallsT]) -> Callable[[], CallsT]:
    """Opens calls, entered in a stack of their own, and closes those before, once there are new
    ones."""

    def calls() -> CallsT:
        fresh = open_calls()
        opened.close()
        opened.enter_context(fresh)
        return fresh

    return calls
