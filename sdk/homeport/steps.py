"""Steps: the effects that an operation of the core asks its client to perform, one at a time.

An operation is a generator that yields steps and is sent the result of each; it does no I/O
itself. The asynchronous and the blocking client are two loops that perform steps, so that
every decision exists once. The idea is h11's and "functional core, imperative shell"
(https://sans-io.readthedocs.io).

Steps are named tuples: a call makes two or three, and they cost 0.2 us each.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from google.protobuf.message import Message

from homeport.values import Assignment, AssignmentChange, ProvisionResult

T = TypeVar("T")


class Method(NamedTuple):
    """One method of a service: `stub` is the generated class, `name` the method in it."""

    stub: Any
    name: str


class Try(NamedTuple):
    """Call once. client_id: of the client it is about, which proves itself; empty: none. Sent
    back: the response, or the Failure."""

    server: str
    method: Method
    request: Message
    timeout_s: float
    client_id: str = ""


class Wait(NamedTuple):
    """Sleep. Sent back: nothing."""

    seconds: float


class CacheGet(NamedTuple):
    """Read the cache. Sent back: the Assignment it holds, or None."""

    tenant: str
    client_id: str


class CachePut(NamedTuple):
    """Write the cache. Sent back: nothing."""

    assignment: Assignment


class CacheDelete(NamedTuple):
    """Delete from the cache. Sent back: nothing."""

    tenant: str
    client_id: str


class Connect(NamedTuple):
    """Connect to each of these endpoints, given by name, at once, and hang up. Sent back: how many
    ms that took by name, of those that answered within the time."""

    endpoints: Mapping[str, str]
    timeout_s: float


Step: TypeAlias = Try | Wait | CacheGet | CachePut | CacheDelete
# What is sent back depends on the step, which a generator's type cannot say.
Steps: TypeAlias = Generator[Step, Any, T]
MeasuringSteps: TypeAlias = Generator[Step | Connect, Any, T]


# -- the steps of a stream -------------------------------------------------------------


class Pull(NamedTuple):
    """Take clients from the caller. Sent back: a list of at most `size`; shorter: the end."""

    size: int


class OpenStream(NamedTuple):
    """Open a bidirectional stream, in place of the one before. Sent back: nothing."""

    server: str
    method: Method


class Send(NamedTuple):
    """Write a request to the stream. Sent back: nothing; if the stream is broken, the next
    Receive returns the Failure."""

    request: Message
    timeout_s: float


class EndRequests(NamedTuple):
    """Half-close the stream: no request follows. Sent back: nothing."""

    timeout_s: float


class Receive(NamedTuple):
    """Take the next response. Sent back: it, or None where the stream ended with OK, or
    the Failure that ended it."""

    timeout_s: float


class Emit(NamedTuple):
    """Pass results to the caller. Sent back: nothing."""

    results: Sequence[ProvisionResult]


StreamStep: TypeAlias = Pull | OpenStream | Send | EndRequests | Receive | Emit | Wait
StreamSteps: TypeAlias = Generator[StreamStep, Any, None]


# -- the steps of a watch --------------------------------------------------------------


class OpenWatch(NamedTuple):
    """Open a stream of responses to one request, in place of the one before. Sent back:
    nothing; if it cannot be opened, the next Receive returns the Failure. client_id: as of
    Try."""

    server: str
    method: Method
    request: Message
    client_id: str


class Notify(NamedTuple):
    """Pass a change to the caller. Sent back: nothing."""

    change: AssignmentChange


WatchStep: TypeAlias = OpenWatch | Receive | Notify | Wait | CacheGet | CachePut | CacheDelete | Try
WatchSteps: TypeAlias = Generator[WatchStep, Any, None]
