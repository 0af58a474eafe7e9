"""AssignmentWatch and Follower: changes of a client's assignment, without an event loop."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import grpc

from homeport.channels import CLOSED
from homeport.failure import Code, Failure
from homeport.status_details import failure_of
from homeport.steps import Notify, OpenWatch, Receive, Wait, WatchSteps
from homeport.sync_calls import SyncCalls
from homeport.tracing import with_trace
from homeport.values import Assignment, AssignmentChange

log = logging.getLogger("homeport")

_CLOSE = Failure(Code.CANCELLED, "closed")  # wakes a receive; never reaches the core


class _ResponseStream:
    """One stream of responses. gRPC's blocking read has no deadline, so a thread of the
    stream's own reads, and `receive` takes from its queue."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._received: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="homeport watch", daemon=True).start()

    def _read(self) -> None:
        try:
            for response in self._call:
                self._received.put(response)
        except grpc.RpcError as error:
            self._received.put(failure_of(error))
        else:
            self._received.put(None)

    def receive(self, timeout_s: float) -> Any:
        """The next response, None at the end, or a Failure."""
        try:
            return self._received.get(timeout=timeout_s)
        except queue.Empty:
            return Failure(
                Code.DEADLINE_EXCEEDED, f"no keep-alive from the server in {timeout_s:.3g} s"
            )

    def cancel(self) -> None:
        """Ends the stream and its thread. Idempotent, from any thread."""
        self._received.put(_CLOSE)
        self._call.cancel()


class AssignmentWatch:
    """An iterator of changes; ends when it is closed, from any thread, or with an error
    that no retry can help. Iterate in one thread."""

    def __init__(self, calls: SyncCalls, steps: WatchSteps) -> None:
        self._calls = calls
        self._steps = steps
        self._lock = threading.Lock()  # held while a stream is opened, and while closing
        self._stream: _ResponseStream | None = None
        self._closed = threading.Event()
        self._client_closed = False
        self._reply: Any = None
        calls.add_close_hook(self._end_with_client)

    def __iter__(self) -> AssignmentWatch:
        return self

    def __next__(self) -> AssignmentChange:
        while True:
            self._stop_if_closed()
            try:
                step = self._steps.send(self._reply)
            except BaseException:  # the watch is over, with an error or without
                self.close()
                raise
            self._reply = None
            match step:
                case Notify(change):
                    return change
                case Receive(timeout_s):
                    assert self._stream is not None, "the core listens before it receives"
                    self._reply = self._stream.receive(timeout_s)
                case Wait(seconds):
                    self._closed.wait(seconds)
                case OpenWatch():
                    self._open_stream(step)
                case _:
                    self._reply = self._calls.perform(step)

    def _open_stream(self, step: OpenWatch) -> None:
        shown = self._calls.metadata_for(step.client_id)
        method = self._calls.method(step.server, step.method)
        with self._lock:
            self._stop_if_closed()
            if self._stream is not None:
                self._stream.cancel()
            try:
                call = method(step.request, metadata=with_trace(shown))
            except ValueError:  # what gRPC raises for a closed channel
                raise RuntimeError(CLOSED) from None
            self._stream = _ResponseStream(call)

    def _stop_if_closed(self) -> None:
        if self._closed.is_set():
            if self._client_closed:
                raise RuntimeError(CLOSED)
            raise StopIteration

    def close(self) -> None:
        """Ends the watch, on the server too. Idempotent, from any thread."""
        with self._lock:
            self._closed.set()
            if self._stream is not None:
                self._stream.cancel()
        self._calls.remove_close_hook(self._end_with_client)

    def _end_with_client(self) -> None:
        self._client_closed = True
        self.close()

    def __enter__(self) -> AssignmentWatch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Follower:
    """Calls back for every change, from a thread of its own, until it is closed. What a
    callback raises is logged and ends nothing."""

    def __init__(
        self,
        watch: AssignmentWatch,
        home: Assignment | None,
        on_change: Callable[[AssignmentChange], Any],
    ) -> None:
        self.home = home  # as of the last change; None: it has none, or no change came yet
        self._watch = watch
        self._on_change = on_change
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._follow, name="homeport follower", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        try:
            for change in self._watch:
                self.home = change.assignment
                try:
                    self._on_change(change)
                except Exception:  # the application's; it must not end the watch
                    log.exception("a callback failed on %s", change.kind)
        except Exception as error:  # noqa: BLE001 - raised by `wait`
            self._error = error

    def wait(self) -> None:
        """Returns when it was closed; raises what ended the watch otherwise."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """No callback begins after this. Idempotent; in a callback it does not wait."""
        self._watch.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Follower:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
