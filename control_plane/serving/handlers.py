"""Handlers of methods: interceptors put something around what a method does, and its kind stays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

STATUS_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode if code.value[0]}


def behaviour_of(handler: Any) -> Callable[[Any, Any], Any]:
    """What the method does with a request, or a stream of them, and a context."""
    behaviour: Callable[[Any, Any], Any] = getattr(handler, _kind(handler))
    return behaviour


def with_behaviour(
    handler: Any, behaviour: Callable[[Any, Any], Any], *, reads_bytes: bool = False
) -> Any:
    """A handler of the same kind that does this instead. reads_bytes: it is given requests as they
    came."""
    make: Any = getattr(grpc, f"{_kind(handler)}_rpc_method_handler")
    read = None if reads_bytes else handler.request_deserializer
    return make(behaviour, read, handler.response_serializer)


def status_of_failure(error: BaseException, context: Any) -> grpc.StatusCode:
    """The status of a call that raised: the one that its context was given, or CANCELLED where its
    caller has left; UNKNOWN where nothing was said."""
    if isinstance(error, GeneratorExit | asyncio.CancelledError):
        return grpc.StatusCode.CANCELLED
    said: Any = context.code()
    if isinstance(said, grpc.StatusCode):
        return said
    return STATUS_BY_NUMBER.get(said, grpc.StatusCode.UNKNOWN)


def _kind(handler: Any) -> str:
    requests = "stream" if handler.request_streaming else "unary"
    responses = "stream" if handler.response_streaming else "unary"
    return f"{requests}_{responses}"
