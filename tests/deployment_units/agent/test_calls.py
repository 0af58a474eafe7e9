"""An agent with a call server, over real sockets: emergency calls with nothing else there, and
texts of conversations by SIP."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry

from console.demo.directory.sip_telephones import SipTelephones
from deployment_units.agent.metrics import AgentMetrics
from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.wiring import ServingUnits, build_agent, run_agents
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import conversation_pb2_grpc
from tests.support.agent_processes import fake_fleet

pytest.importorskip("sippy", reason="sippy, the engine of the call server, is not installed")
WAIT_S = 90.0
OURS, DEV, ANYBODY = "+442079460100", "+442079460302", "+442079460301"


def settings(tmp_path: Path, server: str, port: int) -> AgentSettings:
    return AgentSettings(
        unit="u", server=server, state_dir=tmp_path, accounts=True, sip_listen="127.0.0.1:0",
        sip_trunks=f"carrier=127.0.0.1:{port}/GB", text_number=OURS,
    )  # fmt: skip


async def test_texts_of_conversations_go_by_sip_and_emergencies_without_anything(
    tmp_path: Path,
) -> None:
    stop, ready = asyncio.Event(), asyncio.Future[ServingUnits]()
    fleet, carrier = fake_fleet(), SipTelephones(("127.0.0.1", 1))
    _, port = await carrier.open()
    async with fleet.serving() as server:
        running = asyncio.create_task(
            run_agents(settings(tmp_path, server, port), stop=stop, on_ready=ready.set_result)
        )
        async with asyncio.timeout(WAIT_S):
            units = await ready
        host, _, sip = units.sip["u"].rpartition(":")
        carrier.server = (host, int(sip))
        async with (
            asyncio.timeout(WAIT_S),
            grpc.aio.insecure_channel(units.endpoints["u"]) as channel,
        ):
            stub = conversation_pb2_grpc.ConversationServiceStub(channel)
            ticket = fleet.issuer.issue("u", "default", "anna", 1, time.time(), 600)
            shown = (("authorization", f"Bearer {ticket}"),)
            await stub.SendMessage(
                pb.SendMessageRequest(
                    conversation=b"c" * 16, id=b"1" * 16, members=[f"tel:{DEV}"],
                    content=pb.Content(text="Coming?"),
                ),
                metadata=shown,
            )  # fmt: skip
            await carrier.until(lambda: DEV in carrier.texts)
            assert carrier.texts[DEV] == [(OURS, "Coming?")]
            assert await carrier.text(DEV, OURS, "Yes") == 200
            assert await carrier.text(DEV, OURS, "At eight") == 200
            assert await carrier.text(DEV, OURS, "Yes") == 200  # once more is another one
            assert await carrier.text(ANYBODY, OURS, "Hello?") == 404
            carrier.asserts = False
            assert await carrier.text(DEV, OURS, "Hello?") == 433
            listed = await stub.ListMessages(
                pb.ListMessagesRequest(conversation=b"c" * 16), metadata=shown
            )
    try:  # from here on there is no control plane
        assert [one.content.text for one in listed.messages] == [
            "Coming?", "Yes", "At eight", "Yes",
        ]  # fmt: skip
        carrier.asserts = True
        call = await carrier.call(ANYBODY, "999")
        assert call.statuses[-1] == 200
        assert carrier.rung[-1].shown == ANYBODY
        assert (await carrier.call(ANYBODY, "+442079460201")).statuses[-1] in (404, 503)
    finally:
        stop.set()
        await asyncio.wait_for(running, WAIT_S)
        carrier.close()


async def test_what_the_call_server_says_is_told(tmp_path: Path) -> None:
    agent = build_agent(settings(tmp_path, "127.0.0.1:1", 9), None)
    try:
        assert agent.call_server is not None
        agent.call_server.counts = {"stranger": 3, "too-many": 2, "call-no-answer": 1}
        agent.call_server.calls = 4
        registry = CollectorRegistry()
        registry.register(AgentMetrics([agent]))

        def told_of(name: str, **labels: str) -> float | None:
            return registry.get_sample_value(f"homeport_agent_{name}", {"unit": "u", **labels})

        assert told_of("sip_messages_total", outcome="stranger") == 3
        assert told_of("sip_messages_total", outcome="too_many") == 2
        assert told_of("sip_calls_ended_total", cause="no_answer") == 1
        assert told_of("sip_calls") == 4
        assert told_of("call_server_starts_total") == 0
    finally:
        await agent.keeping.close()
