"""Steps: what the core asks its shell to do, one at a time.

An operation is a generator that yields steps and is sent what came of each; it never does
anything itself. The asynchronous and the synchronous client are two loops that carry steps
out, so that every decision exists once. The idea is h11's and Fowler's "functional core,
imperative shell" (https://sans-io.readthedocs.io).

Steps are named tuples: a call makes two or three, and they cost 0.2 us each.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from google.protobuf.message import Message

from homeport.values import Assignment, Change, ProvisionResult

T = TypeVar("T")


class Method(NamedTuple):
    """One method of a service: `stub` is the generated class, `name` the method in it."""

    stub: Any
    name: str


class Try(NamedTuple):
    """Call once. Sent back: the response, or the Failure."""

    server: str
    method: Method
    request: Message
    timeout_s: float


class Wait(NamedTuple):
    """Let time pass. Sent back: nothing."""

    seconds: float


class Recall(NamedTuple):
    """Read the cache. Sent back: the Assignment it holds, or None."""

    tenant: str
    client_id: str


class Remember(NamedTuple):
    """Write the cache. Sent back: nothing."""

    assignment: Assignment


class Forget(NamedTuple):
    """Delete from the cache. Sent back: nothing."""

    tenant: str
    client_id: str


Step: TypeAlias = Try | Wait | Recall | Remember | Forget
# What is sent back depends on the step, which a generator's type cannot say.
Steps: TypeAlias = Generator[Step, Any, T]


# -- the steps of a stream -------------------------------------------------------------


class Pull(NamedTuple):
    """Take clients from the caller. Sent back: a list of at most `size`; shorter: the end."""

    size: int


class Open(NamedTuple):
    """Begin a stream, in place of the one before. Sent back: nothing."""

    server: str
    method: Method


class Send(NamedTuple):
    """Put a request on the stream. Sent back: nothing; if the stream is broken, the next
    Receive tells."""

    request: Message
    timeout_s: float


class EndRequests(NamedTuple):
    """Tell the server that no request will follow. Sent back: nothing."""

    timeout_s: float


class Receive(NamedTuple):
    """Take the next response. Sent back: it, or None at the stream's good end, or the
    Failure that ended it."""

    timeout_s: float


class Emit(NamedTuple):
    """Hand results to the caller. Sent back: nothing."""

    results: Sequence[ProvisionResult]


StreamStep: TypeAlias = Pull | Open | Send | EndRequests | Receive | Emit | Wait
StreamSteps: TypeAlias = Generator[StreamStep, Any, None]


# -- the steps of a watch --------------------------------------------------------------


class Listen(NamedTuple):
    """Begin a stream of responses to one request, in place of the one before. Sent back:
    nothing; if it cannot be had, the next Receive tells."""

    server: str
    method: Method
    request: Message


class Tell(NamedTuple):
    """Hand a change to the caller. Sent back: nothing."""

    change: Change


WatchStep: TypeAlias = Listen | Receive | Tell | Wait | Remember | Forget
WatchSteps: TypeAlias = Generator[WatchStep, Any, None]
