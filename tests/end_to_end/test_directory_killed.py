"""Servers that are killed (-9) in the middle of a claim or a try: what the same request comes to
afterwards, and that no try is forgotten. In short, without processes: the directory's simulation.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from control_plane import faultpoints
from homeport.api.directory.v1 import directory_pb2 as pb
from homeport.api.directory.v1 import directory_pb2_grpc as pb_grpc
from homeport.api.directory.v1 import (
    domain_pb2,
    domain_pb2_grpc,
    organisation_pb2,
    organisation_pb2_grpc,
)
from homeport.api.provisioning.v1 import provisioning_pb2 as provisioning_pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as provisioning_grpc
from tests.support import servers
from tests.support.fakes.name_server import NameServer, serving
from tests.support.fakes.smtp_relay import SmtpRelay

pytestmark = pytest.mark.slow
ORGANISATIONS = organisation_pb2_grpc.OrganisationServiceStub
DOMAINS = domain_pb2_grpc.DomainServiceStub
MAIL = pb.Identifier(uri="mailto:anna@mail.example")


class Killed:
    """Starts servers over one store; some end at a fault point."""

    def __init__(self, folder: Path, relay: SmtpRelay, *more: str) -> None:
        self._folder, self._relay, self._more = folder, relay, more
        self._count = 0

    def server(self, label: str = "") -> servers.Server:
        self._count += 1
        host, port = self._relay.address
        return servers.Server(
            self._folder, f"server-{self._count}", f"embedded:{self._folder / 'store.db'}",
            f"--directory-mail-relay={host}:{port}", "--directory-mail-from=codes@talk.example",
            *self._more,
            environment={faultpoints.VARIABLE: label} if label else {},
        )  # fmt: skip


async def prepared(address: str) -> None:
    await servers.apply(address, servers.units(dublin=100))
    async with grpc.aio.insecure_channel(address) as channel:
        stub = provisioning_grpc.ProvisioningServiceStub(channel)
        for client in ("anna", "ben"):
            await stub.Provision(provisioning_pb.ProvisionRequest(client_id=client), timeout=10)


async def ask(address: str, method: str, request, stub=pb_grpc.DirectoryServiceStub):
    async with grpc.aio.insecure_channel(address) as channel:
        return await getattr(stub(channel), method)(request, timeout=20)


async def started(server: servers.Server) -> servers.Server:
    await asyncio.to_thread(server.__enter__)
    return server


async def ended(server: servers.Server) -> None:
    await asyncio.to_thread(server.__exit__, None, None, None)


@pytest.mark.parametrize("label", ["claim.commit.before", "claim.commit.after"])
async def test_a_claim_that_was_cut_off_comes_to_the_same_when_it_is_repeated(tmp_path, label):
    async with SmtpRelay() as relay:
        killed = Killed(tmp_path, relay)
        first = await started(killed.server(label))
        await prepared(first.address)
        claim = pb.ClaimHandleRequest(account="anna", handle="anna", request_id="one")
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(first.address, "ClaimHandle", claim)
        await ended(first)
        second = await started(killed.server())
        assert (await ask(second.address, "ClaimHandle", claim)).handle == "anna"
        other = pb.ClaimHandleRequest(account="ben", handle="anna")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(second.address, "ClaimHandle", other)
        assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
        await ended(second)


async def test_a_try_counts_though_its_server_never_answered(tmp_path):
    async with SmtpRelay() as relay:
        killed = Killed(tmp_path, relay)
        first = await started(killed.server("proof.try.after"))
        await prepared(first.address)
        await ask(
            first.address, "BeginProof", pb.BeginProofRequest(account="anna", identifier=MAIL)
        )
        sent = relay.messages[0][1].decode()
        code = sent.partition("code is ")[2][:9].replace(" ", "")
        wrong = f"{(int(code) + 1) % 10**8:08}"
        guess = pb.FinishProofRequest(account="anna", identifier=MAIL, code=wrong)
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(first.address, "FinishProof", guess)
        await ended(first)
        second = await started(killed.server())
        with pytest.raises(grpc.aio.AioRpcError, match="3 more"):
            await ask(second.address, "FinishProof", guess)
        right = pb.FinishProofRequest(account="anna", identifier=MAIL, code=code)
        assert (await ask(second.address, "FinishProof", right)).kind == "mailto"
        await ended(second)


async def test_a_domain_that_was_found_and_not_written_is_looked_for_again(tmp_path):
    """Killed once name servers have said it: it stays asked for, and no other state is made up."""
    names = NameServer(recurses=True)
    async with SmtpRelay() as relay, serving(names):
        killed = Killed(tmp_path, relay, f"--directory-dns=127.0.0.1:{names.port}")
        first = await started(killed.server("domain.checked.after"))
        organisation = {"organisation": "contoso", "name": "Contoso"}
        made = organisation_pb2.ApplyOrganisationRequest(organisation=organisation)
        await ask(first.address, "ApplyOrganisation", made, ORGANISATIONS)
        of = {"organisation": "contoso", "domain": "contoso.example"}
        asked = await ask(
            first.address, "ClaimDomain", domain_pb2.ClaimDomainRequest(**of), DOMAINS
        )
        names.records[asked.record_name, "TXT"] = [f'"{asked.record_value}"']
        verify = domain_pb2.VerifyDomainRequest(**of)
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(first.address, "VerifyDomain", verify, DOMAINS)
        await ended(first)
        second = await started(killed.server())
        get = domain_pb2.GetDomainRequest(**of)
        stands = await ask(second.address, "GetDomain", get, DOMAINS)
        assert stands.state == domain_pb2.DOMAIN_STATE_PENDING
        assert stands.record_value == asked.record_value
        proved = await ask(second.address, "VerifyDomain", verify, DOMAINS)
        assert proved.state == domain_pb2.DOMAIN_STATE_VERIFIED
        await ended(second)
