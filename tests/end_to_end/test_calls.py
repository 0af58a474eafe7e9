"""Calls from end to end: numbers that an operator adds and assigns, a telephone that is proved, a
contact that is linked, and a call that another unit brings. A server, an agent and telephones, over
real sockets."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from control_plane.identity.introductions import Introduction
from deployment_units.services.directory.client import DirectoryClient
from deployment_units.services.telephony.call_peers import CallReport, CallUnit
from deployment_units.services.telephony.directory_call_homes import DirectoryCallHomes
from deployment_units.services.telephony.grpc_call_peers import GrpcCallPeers
from deployment_units.services.telephony.port import CallKind, EndCause, RefusedCause
from deployment_units.services.telephony.routing import CallAsked, Routed
from homeport.api.communication.v1 import profile_pb2, profile_pb2_grpc, telephony_pb2_grpc
from homeport.api.communication.v1 import telephony_pb2 as pb
from homeport.api.directory.v1 import number_pb2, number_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2, provisioning_pb2_grpc
from tests.support import servers
from tests.support.agent_processes import unit_agent
from tests.support.fakes.telephones import Telephones

WAIT_S = 20.0
P1, P2, V, T = "+442079460301", "+442079460302", "+442079460001", "+442079460101"


async def numbered(server: str) -> str:
    """Gives the tenant numbers, and Anna a home and V; her ticket."""
    async with grpc.aio.insecure_channel(server) as channel:
        clients = provisioning_pb2_grpc.ProvisioningServiceStub(channel)
        request = provisioning_pb2.ProvisionRequest(client_id="anna", address="81.2.69.142")
        home = await clients.Provision(request, timeout=WAIT_S, wait_for_ready=True)
        stub = number_pb2_grpc.NumberServiceStub(channel)
        for pool, kind, number in (
            ("people", number_pb2.NUMBER_KIND_VIRTUAL, V),
            ("contacts", number_pb2.NUMBER_KIND_TECHNICAL, T),
        ):
            add = number_pb2.AddNumbersRequest(pool=pool, kind=kind, numbers=[number])
            assert (await stub.AddNumbers(add, timeout=WAIT_S)).added == 1
        assign = number_pb2.AssignNumberRequest(account="anna", pool="people")
        assert (await stub.AssignNumber(assign, timeout=WAIT_S)).number == V
        return str(home.ticket)


def nobodys(introduction: str) -> Introduction:
    raise AssertionError("no account is at home in the unit that calls")


@pytest.mark.slow
async def test_a_call_goes_from_one_unit_through_the_home_of_its_account(tmp_path: Path) -> None:
    async with Telephones() as telephones:
        with ExitStack() as stack:
            (server,) = servers.start(
                stack, tmp_path, f"embedded:{tmp_path / 'store.db'}", 1,
                f"--directory-text-line=127.0.0.1:{telephones.port}",
                "--directory-text-number=+442079460999",
            )  # fmt: skip
            keep = (f"--state-dir={tmp_path / 'state'}", "--accounts")
            async with unit_agent(tmp_path, server.address, arguments=keep) as unit:
                ticket = await numbered(server.address)
                to = {"timeout": WAIT_S, "metadata": (("authorization", f"Bearer {ticket}"),)}
                async with grpc.aio.insecure_channel(unit) as channel:
                    names = profile_pb2_grpc.ProfileServiceStub(channel)
                    begin = profile_pb2.BeginProofRequest(uri=f"tel:{P1}")
                    await names.BeginProof(begin, **to)
                    ((_, text),) = await telephones.got(P1)
                    code = re.search(r"\d{4} ?\d{4}", text)
                    assert code is not None
                    confirm = profile_pb2.ConfirmIdentifierRequest(uri=f"tel:{P1}", code=code[0])
                    await names.ConfirmIdentifier(confirm, **to)
                    stub = telephony_pb2_grpc.TelephonyServiceStub(channel)
                    linked = await stub.LinkContact(pb.LinkContactRequest(contact=P2), **to)
                    assert linked.technical == T
                    await called(server.address)
                    calls = (await stub.ListCalls(pb.ListCallsRequest(), **to)).calls
                    assert [(one.technical, one.outgoing, one.end) for one in calls] == [
                        (T, True, pb.CALL_END_UNSPECIFIED),
                        (T, False, pb.CALL_END_BUSY),
                    ]


async def called(server: str) -> None:
    """Another unit brings calls of both sides, and what became of one."""
    directory = DirectoryClient("stockholm", [server], grpc.aio.insecure_channel)
    homes = DirectoryCallHomes("stockholm", directory, nobodys, clock=time.monotonic)
    peers = GrpcCallPeers(grpc.aio.insecure_channel)
    try:
        by_v = await homes.of_call(P2, V)
        assert isinstance(by_v, CallUnit)
        into = await peers.route(by_v, CallAsked(caller=P2, dialled=V, kind=CallKind.CALL))
        assert isinstance(into, Routed)
        assert (into.target, into.shown) == (P1, T)
        report = CallReport(
            record=into.record, stage="ended", at_ms=time.time_ns() // 1_000_000,
            cause=EndCause.BUSY,
        )  # fmt: skip
        home = await homes.of_account(by_v.tenant, by_v.account)
        assert isinstance(home, CallUnit)
        await peers.report(home, report)
        by_t = await homes.of_call(P1, T)
        assert isinstance(by_t, CallUnit)
        out = await peers.route(by_t, CallAsked(caller=P1, dialled=T, kind=CallKind.CALL))
        assert isinstance(out, Routed)
        assert (out.target, out.shown) == (P2, V)
        loop = await peers.route(by_t, CallAsked(caller=P1, dialled=V, kind=CallKind.CALL))
        assert loop is RefusedCause.LOOP
        assert await homes.of_call(P2, T) is None
    finally:
        await peers.close()
        await directory.close()
