"""From a press of a card to the next card: unit, decision service, sandboxed application and back.

A provisioning server on the embedded store, a unit's agent, a data-sharing server and a platform,
processes of their own; presses and what the account subscribes to go over one gRPC connection. Each
press is of a card of its own and is answered with the next one. First it is found how many a second
come back with some dozens under way; then cards are pressed at half that rate, on a fixed schedule:
a press that had to wait counts from when it was due.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import grpc
import yaml

from bench.suite.card_guest import NAME, card_guest, card_manifest
from bench.suite.measurement import Failed, Measurement, Samples, Target
from bench.suite.processes import process, scratch
from data_sharing.registry.answers import answering_rules, message_feeds
from data_sharing.registry.manifest_reader import read_manifest
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import conversation_pb2_grpc as pb_grpc
from homeport.api.datasharing.v1 import (
    registry_pb2,
    registry_pb2_grpc,
    rule_pb2,
    rule_pb2_grpc,
)
from homeport.api.provisioning.v1 import provisioning_pb2, provisioning_pb2_grpc

UNIT = "bench-unit"
UNDER_WAY = 32  # presses of a burst
PRESSES = 160  # of a burst, and as many at half its rate
WAIT_S = 60.0
_TALK = bytes(16)
_NOT_YET = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.FAILED_PRECONDITION)  # fmt: skip


class Customer:
    """An account that presses. Cards that nobody has pressed yet wait in `cards`."""

    def __init__(self, stub: pb_grpc.ConversationServiceStub, ticket: str) -> None:
        self._stub = stub
        self._metadata = (("authorization", f"Bearer {ticket}"),)
        self._answered: dict[bytes, asyncio.Future[float]] = {}
        self.cards: asyncio.Queue[bytes] = asyncio.Queue()

    async def follow(self) -> None:
        """Takes in what comes, until cancelled."""
        async for one in self._stub.Subscribe(pb.SubscribeRequest(), metadata=self._metadata):
            content = one.message.content
            if not content.card:
                continue
            self.cards.put_nowait(one.message.id)
            waiting = self._answered.pop(content.answers, None)
            if waiting is not None:
                waiting.set_result(time.perf_counter())

    async def write(self, count: int) -> None:
        """Asks for so many cards, and waits for them."""
        for _ in range(count):
            request = pb.SendMessageRequest(
                conversation=_TALK, id=secrets.token_bytes(16), members=[NAME],
                content=pb.Content(text="What is there?"),
            )  # fmt: skip
            await self._stub.SendMessage(request, metadata=self._metadata, timeout=WAIT_S)
        async with asyncio.timeout(WAIT_S):
            for card in [await self.cards.get() for _ in range(count)]:
                self.cards.put_nowait(card)

    async def press(self) -> float:
        """Presses a card; when the next one is there, by the performance counter. Raises Failed
        where it counts as anything but a press that waits."""
        request = pb.ClickRequest(
            message=self.cards.get_nowait(), action="more", press=secrets.token_bytes(16),
            revision=1,
        )  # fmt: skip
        there = self._answered[request.press] = asyncio.get_running_loop().create_future()
        answer = await self._stub.Click(request, metadata=self._metadata, timeout=WAIT_S)
        if answer.state not in (pb.PRESS_STATE_WAITING, pb.PRESS_STATE_DONE):
            raise Failed(f"a press was not taken: {answer.state}")
        async with asyncio.timeout(WAIT_S):
            arrived: float = await there
        return arrived

    async def burst_per_s(self, count: int) -> float:
        """Cards a second, so many under way."""
        left = iter(range(count))

        async def one_after_another() -> None:
            for _ in left:
                await self.press()

        began = time.perf_counter()
        await asyncio.gather(*(one_after_another() for _ in range(UNDER_WAY)))
        return count / (time.perf_counter() - began)

    async def latencies_ms(self, count: int, per_s: float) -> list[float]:
        """Of each press, in order of size."""
        began = time.perf_counter() + 0.1

        async def one(number: int) -> float:
            due = began + number / per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            return (await self.press() - due) * 1_000

        return sorted(await asyncio.gather(*map(one, range(count))))


async def set_up(sharing: grpc.aio.Channel) -> None:
    """Submits the feeds of messages and the application, with its rules and its address."""
    registry = registry_pb2_grpc.ApplicationRegistryStub(sharing)
    for manifest, artifact in ((message_feeds(), b""), (card_manifest(), card_guest())):

        async def parts(
            manifest: str = manifest, artifact: bytes = artifact
        ) -> AsyncIterator[registry_pb2.SubmitApplicationRequest]:
            head = registry_pb2.SubmissionHead(manifest=manifest)
            yield registry_pb2.SubmitApplicationRequest(head=head)
            if artifact:
                yield registry_pb2.SubmitApplicationRequest(artifact=artifact)

        verdict = await registry.SubmitApplication(parts(), timeout=WAIT_S)
        if verdict.WhichOneof("result") != "accepted":
            raise Failed(f"the application is not accepted: {verdict}")
    read, faults = read_manifest(card_manifest(), tenant="default")
    if read is None:
        raise Failed(f"the manifest is refused: {faults}")
    document = yaml.safe_dump(answering_rules(read))
    rules = rule_pb2_grpc.RuleServiceStub(sharing)
    await rules.ApplyRules(rule_pb2.ApplyRulesRequest(document=document), timeout=WAIT_S)
    await registry.AddressApplication(
        registry_pb2.AddressApplicationRequest(application=NAME, account=NAME), timeout=WAIT_S
    )


async def ticket(channel: grpc.aio.Channel, client: str) -> str:
    """Of a client whose home is the unit."""
    stub = provisioning_pb2_grpc.ProvisioningServiceStub(channel)
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                home = await stub.Provision(
                    provisioning_pb2.ProvisionRequest(client_id=client), timeout=5
                )
            except grpc.aio.AioRpcError as error:
                if error.code() not in _NOT_YET:
                    raise
                await asyncio.sleep(0.05)
            else:
                return str(home.ticket)


async def run(
    unit: str, provisioner: str, samples: Samples, rounds: int, count: int, tick: Callable[[], None]
) -> None:
    async with (
        grpc.aio.insecure_channel(provisioner) as control,
        grpc.aio.insecure_channel(unit) as channel,
    ):
        stub = pb_grpc.ConversationServiceStub(channel)
        kiosk = (("authorization", f"Bearer {await ticket(control, NAME)}"),)
        await stub.RemoveConversation(  # so that the unit knows the account
            pb.RemoveConversationRequest(conversation=_TALK), metadata=kiosk, timeout=WAIT_S
        )
        customer = Customer(stub, await ticket(control, "anna"))
        following = asyncio.create_task(customer.follow())
        try:
            await customer.write(2 * UNDER_WAY)
            await customer.burst_per_s(count // 4)  # warms everything up
            for _ in range(rounds):
                per_s = await customer.burst_per_s(count)
                samples.add("cards_per_s", per_s)
                taken = await customer.latencies_ms(count, per_s / 2)
                samples.add("click_to_card_p50_ms", taken[len(taken) // 2])
                samples.add("click_to_card_p99_ms", taken[len(taken) * 99 // 100])
                tick()
        finally:
            following.cancel()


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Bursts and half load in turn."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        sharing = stack.enter_context(
            process("data_sharing", [
                f"--data-dir={folder / 'sharing'}", "--listen=127.0.0.1:0",
                "--http-listen=", "--metrics-listen=",
            ], folder)
        )  # fmt: skip
        asyncio.run(_set_up(sharing["grpc"]))
        stack.enter_context(
            process("data_sharing.platforms", [
                "--name=bench", f"--applications={NAME}", f"--server={sharing['grpc']}",
                f"--data-dir={folder / 'platform'}",
            ], folder)
        )  # fmt: skip
        control = stack.enter_context(
            process("provisioner", [
                f"--store=embedded:{folder / 'store.db'}", "--listen=127.0.0.1:0",
                "--metrics-listen=", "--log-level=error",
            ], folder)
        )  # fmt: skip
        agent = stack.enter_context(
            process("deployment_units.agent", [
                f"--units={_units(folder)}", f"--server={control['grpc']}", "--accounts",
                f"--state-dir={folder / 'unit'}", f"--data-sharing={sharing['grpc']}",
            ], folder)
        )  # fmt: skip
        units: dict[str, str] = agent["units"]  # type: ignore[assignment]  # of its ready file
        count = PRESSES // (2 if quick else 1)
        asyncio.run(run(units[UNIT], control["grpc"], samples, rounds, count, tick))


async def _set_up(server: str) -> None:
    async with grpc.aio.insecure_channel(server) as channel:
        await set_up(channel)


def _units(folder: Path) -> Path:
    """The file of the one unit that there is."""
    file = folder / "units.yaml"
    unit = {"id": UNIT, "endpoint": "unit.example.net:443", "capacity": 1_000, "country": "IE",
            "position": {"latitude": 53.3, "longitude": -6.3}}  # fmt: skip
    file.write_text(json.dumps({"units": [unit]}))
    return file


PRESSING = Measurement(
    name="presses",
    ratios=(),
    units={
        "cards_per_s": f"cards/s, pressed to the next one, {UNDER_WAY} under way",
        "click_to_card_p50_ms": "ms, at half load",
        "click_to_card_p99_ms": "ms, at half load",
    },
    run=measure,
    steps=lambda rounds: rounds,
    targets=(
        Target(figure="click_to_card_p50_ms", target=15.0, at_least=False),
        Target(figure="click_to_card_p99_ms", target=40.0, at_least=False),
    ),
)
