"""The responses of a stream, read on a thread of their own.

Ctrl-C raises KeyboardInterrupt in the thread that runs the command, wherever that is. Within gRPC
it may leave a lock of the call's locked (`threading.Condition` lets go of it in Python code), and
then whoever closes the channel waits for ever. So that thread waits on a queue, and only a daemon
is within gRPC.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

AHEAD = 100  # responses that are read before somebody takes them


def responses(begin: Callable[[], Any]) -> Iterator[Any]:
    """Those of the call that `begin` begins, in order, until it ends; it is cancelled when this
    generator is closed. Raises grpc.RpcError."""
    received: queue.SimpleQueue[Any] = queue.SimpleQueue()  # first the call itself
    credits: queue.SimpleQueue[None] = queue.SimpleQueue()
    for _ in range(AHEAD):
        credits.put(None)

    def read() -> None:
        ended: BaseException = StopIteration()
        try:
            call = begin()
            received.put(call)
            for response in call:
                credits.get()
                received.put(response)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever takes it
            ended = error
        received.put(_End(ended))

    threading.Thread(target=read, name="responses", daemon=True).start()
    call = received.get()
    if isinstance(call, _End):
        raise call.cause
    try:
        while not isinstance(one := received.get(), _End):
            yield one
            credits.put(None)
        if not isinstance(one.cause, StopIteration):
            raise one.cause
    finally:
        call.cancel()


class _End(NamedTuple):
    """What comes last. cause: what the call raised; StopIteration: nothing."""

    cause: BaseException
