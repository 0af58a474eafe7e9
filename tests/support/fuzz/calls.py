"""Calls any method with made-up messages, and keeps the answers that no server may give."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor

import homeport.api
from tests.support.fuzz.messages import MessageFuzzer

AT_ONCE, STREAMS_AT_ONCE = 12, 48  # those of streams mostly wait
ANSWER_S = 60.0  # a unary call that takes longer hangs
LISTEN_S = 0.15  # to a stream that says nothing
MOST_RESPONSES = 3
# What the server may never answer, whatever it was sent.
DEFECTS = frozenset({
    grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
})  # fmt: skip
# What tenants serve, and Homeport calls.
OF_TENANTS = frozenset({"homeport.api.hook.v1.PlacementHookService"})
# What grpc.aio says itself, in place of the status that came, where its write meets the end of the
# call: no server's words. A defect of a server is in its log as well.
CLIENTS_OWN = "Internal error from Core"


Shown: TypeAlias = tuple[tuple[str, str], ...]


class Method(NamedTuple):
    """One method of a service of the contract."""

    service: str
    descriptor: MethodDescriptor

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.descriptor.name}"

    def __str__(self) -> str:
        return f"{self.service.rpartition('.')[2]}.{self.descriptor.name}"


@dataclass(slots=True)
class Answers:
    """How calls ended, and those that ended in a defect: status, details, what was sent."""

    codes: Counter[grpc.StatusCode] = field(default_factory=Counter)
    defects: list[tuple[grpc.StatusCode, str, list[bytes]]] = field(default_factory=list)


def methods() -> list[Method]:
    """Every method of every service that the generated code knows; last those after which there
    is less to ask for."""
    found = []
    for module in pkgutil.walk_packages(homeport.api.__path__, "homeport.api."):
        if module.name.endswith("_pb2"):
            file = importlib.import_module(module.name).DESCRIPTOR
            for service in file.services_by_name.values():
                if service.full_name in OF_TENANTS:
                    continue
                found += [Method(service.full_name, method) for method in service.methods]
    ending = ("Cancel", "Deprecate", "Release", "Remove", "Retire")
    return sorted(found, key=lambda one: (one.descriptor.name.startswith(ending), str(one)))


async def call_often(
    channel: grpc.aio.Channel,
    method: Method,
    *,
    calls: int,
    seed: int,
    shown: Shown = (),
) -> Answers:
    """`calls` calls, the same ones for the same seed. shown: metadata of each."""
    answers, numbers = Answers(), iter(range(calls))

    async def one_after_another() -> None:
        for number in numbers:
            random = Random(f"{method.path} {seed} {number}")
            await _call(channel, method, random, answers, shown)

    streams = method.descriptor.client_streaming or method.descriptor.server_streaming
    at_once = STREAMS_AT_ONCE if streams else AT_ONCE
    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    return answers


async def _call(
    channel: grpc.aio.Channel, method: Method, random: Random, answers: Answers, shown: Shown
) -> None:
    fuzzer, descriptor = MessageFuzzer(random), method.descriptor
    count = random.randint(0, 4) if descriptor.client_streaming else 1
    sent = [fuzzer.content(descriptor.input_type) for _ in range(count)]
    try:
        if descriptor.client_streaming or descriptor.server_streaming:
            await _stream(channel, method, sent, shown, leaves=random.random() < 0.3)
        else:
            await channel.unary_unary(method.path)(sent[0], timeout=ANSWER_S, metadata=shown)
        code, details = grpc.StatusCode.OK, ""
    except grpc.aio.AioRpcError as error:
        code, details = error.code(), error.details() or ""
    answers.codes[code] += 1
    if code in DEFECTS and details != CLIENTS_OWN:
        answers.defects.append((code, details, sent))


async def _stream(
    channel: grpc.aio.Channel,
    method: Method,
    sent: Sequence[bytes],
    shown: Shown,
    *,
    leaves: bool,
) -> None:
    """leaves: the client goes away in the middle."""
    descriptor = method.descriptor
    with_all = {"timeout": ANSWER_S, "metadata": shown}

    async def requests() -> AsyncIterator[bytes]:
        for one in sent:
            yield one
        if leaves:
            await asyncio.sleep(LISTEN_S * 4)

    if not descriptor.client_streaming:
        call = channel.unary_stream(method.path)(sent[0], **with_all)
    elif descriptor.server_streaming:
        call = channel.stream_stream(method.path)(requests(), **with_all)
    else:
        call = channel.stream_unary(method.path)(requests(), **with_all)
        if leaves:
            await asyncio.wait([asyncio.ensure_future(_code_of(call))], timeout=LISTEN_S)
            call.cancel()
            return
        await call
        return
    try:
        for _ in range(MOST_RESPONSES):
            async with asyncio.timeout(LISTEN_S):
                if await call.read() is grpc.aio.EOF:
                    return
    except TimeoutError:
        pass  # it has nothing to say, and the call stands: as it should
    finally:
        call.cancel()


async def _code_of(call: grpc.aio.Call) -> None:
    await call.code()
