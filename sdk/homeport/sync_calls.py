"""SyncCalls: performs the core's steps over blocking gRPC.

Keeps one channel per server, made when it is first needed and shared by all threads. Decides
nothing. A closed client ends calls and waits under way, whichever thread they are in.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import grpc

from homeport.cache import AssignmentCache
from homeport.channels import CLOSED, Tls, channel_options, credentials
from homeport.connecting import connect_times
from homeport.credentials import ClientCredentials, Metadata
from homeport.status_details import failure_of
from homeport.steps import (
    CacheDelete,
    CacheGet,
    CachePut,
    Connect,
    MeasuringSteps,
    Method,
    Step,
    T,
    Try,
    Wait,
)  # fmt: skip
from homeport.tracing import traced_call


class SyncCalls:
    """One per client. gRPC's threads do not survive fork(), so a child process that
    inherited one is told to make its own."""

    def __init__(
        self, *, tls: Tls | None, shown: ClientCredentials, cache: AssignmentCache | None
    ) -> None:
        self._tls = tls
        self.metadata = shown.general
        self._shown = shown
        self._cache = cache
        self._process = os.getpid()
        self._lock = threading.Lock()  # held while channels are made, and while closing
        self._channels: dict[str, grpc.Channel] = {}
        self._calls: dict[tuple[str, Method], Any] = {}
        self._closed = threading.Event()
        self._close_hooks: set[Callable[[], None]] = set()

    def run(self, steps: MeasuringSteps[T]) -> T:
        """What the operation returns, or raises."""
        reply: Any = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = self.perform(step)

    def perform(self, step: Step | Connect) -> Any:
        """Performs one step; what is to be sent back."""
        match step:
            case Try():
                return self._try(step)
            case Wait(seconds):
                return self.wait(seconds)
            case Connect(endpoints, timeout_s):
                return connect_times(endpoints, timeout_s)
        cache = self._cache
        assert cache is not None, "the core caches only where it was told of a cache"
        match step:
            case CacheGet(tenant, client_id):
                return cache.get(tenant, client_id)
            case CachePut(assignment):
                return cache.put(assignment)
            case CacheDelete(tenant, client_id):
                return cache.delete(tenant, client_id)

    def _try(self, step: Try) -> Any:
        shown = self.metadata_for(step.client_id)
        call = self.method(step.server, step.method)
        try:
            with traced_call(shown, step.method.stub, step.method.name) as metadata:
                return call(step.request, timeout=step.timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            self._raise_if_closed()
            return failure_of(error)
        except ValueError:  # what gRPC raises for a closed channel
            self._raise_if_closed()
            raise

    def metadata_for(self, client_id: str) -> Metadata:
        """What is shown with a call about this client; empty: about none."""
        return self._shown.of(client_id)

    def _raise_if_closed(self) -> None:
        if self._closed.is_set():
            raise RuntimeError(CLOSED) from None

    def wait(self, seconds: float) -> None:
        """Sleeps. Raises RuntimeError as soon as the client is closed."""
        if self._closed.wait(seconds):
            raise RuntimeError(CLOSED)

    def add_close_hook(self, hook: Callable[[], None]) -> None:
        """`hook` is called when the client is closed, unless it is removed."""
        with self._lock:
            self._raise_if_closed()
            self._close_hooks.add(hook)

    def remove_close_hook(self, hook: Callable[[], None]) -> None:
        """Idempotent."""
        with self._lock:
            self._close_hooks.discard(hook)

    def method(self, server: str, method: Method) -> Any:
        """gRPC's callable for one method of one server. Raises RuntimeError when the client
        is closed or came here through fork()."""
        if os.getpid() != self._process:
            raise RuntimeError("this client was made before fork(); make a new one in the child")
        call = self._calls.get((server, method))
        if call is not None:
            return call
        with self._lock:
            self._raise_if_closed()
            channel = self._channels.get(server)
            if channel is None:
                options, secured = channel_options(self._tls), credentials(self._tls)
                if secured is None:
                    channel = grpc.insecure_channel(server, options)
                else:
                    channel = grpc.secure_channel(server, secured, options)
                self._channels[server] = channel
            call = getattr(method.stub(channel), method.name)
            self._calls[server, method] = call
            return call

    def close(self) -> None:
        """Ends calls under way and connections. Idempotent. In a child of fork() it leaves
        the parent's connections alone."""
        self._closed.set()
        with self._lock:
            channels = list(self._channels.values())
            self._channels.clear()
            self._calls.clear()
            hooks = list(self._close_hooks)
        for hook in hooks:
            hook()
        if os.getpid() == self._process:
            for channel in channels:
                channel.close()
