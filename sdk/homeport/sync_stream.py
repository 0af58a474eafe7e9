"""SyncStream: one bidirectional stream over blocking gRPC, and the loop that performs its
steps."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import grpc

from homeport.failure import Code, Failure
from homeport.status_details import failure_of
from homeport.steps import Emit, EndRequests, OpenStream, Pull, Receive, Send, StreamSteps, Wait
from homeport.sync_calls import SyncCalls
from homeport.tracing import with_trace
from homeport.values import ClientAt, ProvisionResult


class SyncStream:
    """One bidirectional stream. gRPC's blocking read has no deadline, so a thread of the
    stream's own reads, and `receive` takes from its queue."""

    def __init__(self, method: Any, metadata: tuple[tuple[str, str], ...]) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()  # None: no more
        self._received: queue.SimpleQueue[Any] = queue.SimpleQueue()  # as `receive` returns it
        self._call = method(self._outgoing(), metadata=metadata)
        self._reader = threading.Thread(target=self._read, name="homeport stream", daemon=True)
        self._reader.start()

    def _outgoing(self) -> Iterator[Any]:
        while (request := self._requests.get()) is not None:
            yield request

    def _read(self) -> None:
        try:
            for response in self._call:
                self._received.put(response)
        except grpc.RpcError as error:
            self._received.put(failure_of(error))
        else:
            self._received.put(None)

    def perform(self, step: Send | EndRequests | Receive) -> Any:
        """Performs one step on this stream."""
        match step:
            case Send(request):
                return self.send(request)
            case EndRequests():
                return self.end_requests()
            case Receive(timeout_s):
                return self.receive(timeout_s)

    def send(self, request: Any) -> None:
        """Queues a request; gRPC's thread sends it as flow control allows."""
        self._requests.put(request)

    def end_requests(self) -> None:
        """Half-closes the stream: no request follows."""
        self._requests.put(None)

    def receive(self, timeout_s: float) -> Any:
        """The next response, None at the end, or a Failure."""
        try:
            return self._received.get(timeout=timeout_s)
        except queue.Empty:
            return Failure(Code.DEADLINE_EXCEEDED, f"no answer to a batch in {timeout_s:.3g} s")

    def cancel(self) -> None:
        """Ends the stream and its threads. Idempotent."""
        self._requests.put(None)
        self._call.cancel()
        self._reader.join(timeout=5.0)


def run_stream(
    calls: SyncCalls, steps: StreamSteps, clients: Iterable[ClientAt | str]
) -> Iterator[ProvisionResult]:
    """The results that the operation emits. The stream is cancelled when the generator ends."""
    source = iter(clients)
    stream: SyncStream | None = None
    reply: Any = None
    try:
        while True:
            try:
                step = steps.send(reply)
            except StopIteration:
                return
            reply = None
            if isinstance(step, Emit):
                yield from step.results
            elif isinstance(step, Pull):
                reply = list(itertools.islice(source, step.size))
            elif isinstance(step, Wait):
                calls.wait(step.seconds)
            elif isinstance(step, OpenStream):
                if stream is not None:
                    stream.cancel()
                stream = SyncStream(
                    calls.method(step.server, step.method), with_trace(calls.metadata)
                )
            else:
                assert stream is not None, "the core opens a stream before it uses one"
                reply = stream.perform(step)
    finally:
        if stream is not None:
            stream.cancel()
