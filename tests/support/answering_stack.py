"""Real processes around an application that is written to: a data-sharing server, a platform with
the application in its sandbox, and the agent of the unit where its account and its users live. The
control plane alone is a fake, and gives them tickets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from console.local.etcd_process import free_ports
from data_sharing.registry.answers import MESSAGES, answering_rules, message_feeds
from data_sharing.registry.manifest_reader import read_manifest
from data_sharing.runtimes import builder
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import conversation_pb2_grpc as pb_grpc
from homeport.api.datasharing.v1 import (
    feed_pb2,
    feed_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
    rule_pb2,
    rule_pb2_grpc,
)
from tests.support.agent_processes import WAIT_S, fake_fleet, unit_agent
from tests.support.data_sharing_server import SharingServer, submission
from tests.support.platforms import PlatformProcess

ROOT = Path(__file__).parents[2]
APPLICATIONS = ROOT / "data-sharing" / "applications"
KEPT = ROOT / "build" / "applications"  # what was built and compiled before
UNIT, TENANT = "dublin", "default"
ANSWER_S = 120.0
CALL_S = 20.0
AGAIN = (
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,  # by an agent that ends before it has answered
)  # fmt: skip


class AnsweringStack:
    """See the module. unit: where the agent answers now."""

    def __init__(self, folder: Path, application: str) -> None:
        self.folder = folder
        self.application = application
        self.fleet = fake_fleet()
        self.port, self._http = free_ports(2)
        self.fleet_address = ""
        self.unit = ""

    def sharing(self, **environment: str) -> SharingServer:
        """A data-sharing server, at the same address as the one before."""
        return SharingServer(
            self.folder, f"--listen=127.0.0.1:{self.port}", f"--compiled-dir={KEPT / 'served'}",
            environment=environment,
        )  # fmt: skip

    def platform(self, **environment: str) -> PlatformProcess:
        return PlatformProcess(
            self.folder, self.port, f"--applications={self.application}",
            f"--compiled-dir={KEPT / 'served'}", environment=environment,
        )  # fmt: skip

    @asynccontextmanager
    async def agent(
        self, *, killed: bool = False, fault_point: str = "", killed_within_s: float = WAIT_S
    ) -> AsyncIterator[None]:
        """The unit's agent, inside. killed, fault_point: how it ends, see unit_agent."""
        arguments = (
            "--accounts", f"--state-dir={self.folder / 'units'}",
            f"--data-sharing=127.0.0.1:{self.port}",
        )  # fmt: skip
        async with unit_agent(
            self.folder, self.fleet_address, unit=UNIT, arguments=arguments, killed=killed,
            fault_point=fault_point, killed_within_s=killed_within_s,
        ) as address:  # fmt: skip
            self.unit = address or self.unit
            yield

    def ticket(self, account: str) -> str:
        return self.fleet.issuer.issue(UNIT, TENANT, account, 1, time.time(), 3_600.0)

    @asynccontextmanager
    async def sharing_channel(self) -> AsyncIterator[grpc.aio.Channel]:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            yield channel

    async def set_up(self, manifest: str, artifact: bytes, *rules: dict[str, Any]) -> None:
        """Submits the application and the message feeds, applies its rules, and addresses it at the
        account of its name."""
        found, faults = read_manifest(manifest, tenant=TENANT)
        assert found is not None, faults
        document = answering_rules(found)
        document["rules"] += list(rules)
        async with self.sharing_channel() as channel:
            registry = registry_pb2_grpc.ApplicationRegistryStub(channel)
            await self.submit(message_feeds(), b"")
            await self.submit(manifest, artifact)
            await self.apply(channel, document)
            await registry.AddressApplication(
                registry_pb2.AddressApplicationRequest(
                    application=self.application, account=self.application
                ),
                timeout=CALL_S,
            )

    async def submit(self, manifest: str, artifact: bytes) -> None:
        """A version of an application, which is accepted."""
        async with self.sharing_channel() as channel:
            registry = registry_pb2_grpc.ApplicationRegistryStub(channel)
            verdict = await registry.SubmitApplication(submission(manifest, artifact), timeout=300)
            assert verdict.HasField("accepted"), verdict

    async def apply(self, channel: grpc.aio.Channel, document: dict[str, Any]) -> None:
        import yaml

        await rule_pb2_grpc.RuleServiceStub(channel).ApplyRules(
            rule_pb2.ApplyRulesRequest(document=yaml.safe_dump(document)), timeout=CALL_S
        )

    async def outcomes(self, *, within_s: float = CALL_S) -> list[tuple[str, str]]:
        """Rule and status of each outcome so far."""
        return [(one["rule"], one["status"]) for one in await self.outcome_data(within_s)]

    async def outcome_data(self, within_s: float = CALL_S) -> list[dict[str, Any]]:
        """What each outcome so far says."""
        request = feed_pb2.TailRequest(
            application=MESSAGES, feeds=["homeport.instruction.outcome"], after_position=0
        )
        async with self.sharing_channel() as channel:
            tail = feed_pb2_grpc.FeedServiceStub(channel).Tail(request, timeout=within_s)
            return [
                json.loads(one.event.text_data or one.event.binary_data)
                async for page in tail
                for one in page.events
            ]


class Person:
    """Somebody at home in the unit, who tries again until it answers."""

    def __init__(self, stack: AnsweringStack, account: str) -> None:
        self._stack = stack
        self.account = account
        self._ticket = stack.ticket(account)
        self._channels: list[grpc.aio.Channel] = []
        self._at = ""

    async def call(self, method: str, request: Any) -> Any:
        """What the unit answers, whichever agent of it. Idempotent methods alone."""
        async with asyncio.timeout(600.0):
            while True:
                try:
                    stub = pb_grpc.ConversationServiceStub(self._open())
                    return await getattr(stub, method)(
                        request, timeout=CALL_S,
                        metadata=(("authorization", f"Bearer {self._ticket}"),),
                    )  # fmt: skip
                except grpc.aio.AioRpcError as error:
                    if error.code() not in AGAIN:
                        raise
                    await asyncio.sleep(0.05)

    def _open(self) -> grpc.aio.Channel:
        """To the agent that there is now. Those to former ones stay, for other calls may be waiting
        there: closing one would end whoever awaits them as if they were cancelled."""
        if not self._channels or self._at != self._stack.unit:
            self._at = self._stack.unit
            self._channels.append(grpc.aio.insecure_channel(self._at))
        return self._channels[-1]

    async def close(self) -> None:
        while self._channels:
            await self._channels.pop().close()

    async def enter(self) -> None:
        """Makes it an account that the unit knows, as a message to it would where there is a
        directory."""
        await self.call("RemoveConversation", pb.RemoveConversationRequest(conversation=b"0" * 16))

    async def write(self, talk: bytes, message: bytes, text: str, members: Sequence[str]) -> None:
        request = pb.SendMessageRequest(
            conversation=talk, id=message, content=pb.Content(text=text), members=members
        )
        await self.call("SendMessage", request)

    async def click(self, card: bytes, action: str, press: bytes, **inputs: str) -> Any:
        """Of the first revision of a card."""
        request = pb.ClickRequest(
            message=card, action=action, press=press, revision=1, inputs=inputs
        )
        return await self.call("Click", request)

    async def read(self, talk: bytes) -> list[pb.Message]:
        """All messages of a conversation."""
        found: list[pb.Message] = []
        more = True
        while more:
            after = found[-1].position if found else 0
            page = await self.call(
                "ListMessages",
                pb.ListMessagesRequest(conversation=talk, page_size=100, after=after),
            )
            found += page.messages
            more = page.more
        return found

    async def waits_for(
        self, talk: bytes, count: int, *, within_s: float = ANSWER_S
    ) -> list[pb.Message]:
        """The messages of a conversation, once there are so many."""
        async with asyncio.timeout(within_s):
            while len(found := await self.read(talk)) < count:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.02)
        return found


def built(application: str) -> tuple[str, bytes]:
    """Manifest and artifact of a sample application, built once: that takes a minute."""
    made = builder.build(APPLICATIONS / application, KEPT / application / "application.wasm")
    return (APPLICATIONS / application / "manifest.yaml").read_text(), made.path.read_bytes()


@asynccontextmanager
async def answering_stack(folder: Path, application: str) -> AsyncIterator[AnsweringStack]:
    """With its control plane; the rest is begun by whoever uses it."""
    stack = AnsweringStack(folder, application)
    async with AsyncExitStack() as open_:
        stack.fleet_address = await open_.enter_async_context(stack.fleet.serving())
        yield stack
