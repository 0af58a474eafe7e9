"""Names from end to end: claimed and proved by a client at its unit with its ticket, and seen by a
stranger over HTTP at a provisioning server; changed by an operator, which the unit shows. A server,
an agent, a mail relay, over real sockets."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import ClientSession, ClientTimeout

from homeport.api.communication.v1 import profile_pb2 as pb
from homeport.api.communication.v1 import profile_pb2_grpc
from homeport.api.directory.v1 import directory_pb2, directory_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2, provisioning_pb2_grpc
from tests.support import servers
from tests.support.agent_processes import unit_agent
from tests.support.fakes.smtp_relay import SmtpRelay

WAIT_S = 20.0
MAIL = "mailto:anna@mail.example"
HOSTS = {"talk.example": "default"}


async def ticket_of(address: str, client: str) -> str:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = provisioning_pb2_grpc.ProvisioningServiceStub(channel)
        request = provisioning_pb2.ProvisionRequest(client_id=client, address="81.2.69.142")
        answer = await stub.Provision(request, timeout=WAIT_S, wait_for_ready=True)
        return str(answer.ticket)


async def asked(pages: str, path: str) -> tuple[int, str]:
    async with (
        ClientSession(timeout=ClientTimeout(total=WAIT_S)) as session,
        session.get(f"http://{pages}{path}", headers={"Host": "talk.example"}) as response,
    ):
        return response.status, await response.text()


@pytest.mark.slow
async def test_a_name_from_its_claim_to_a_strangers_browser(tmp_path: Path) -> None:
    async with SmtpRelay() as relay:
        with ExitStack() as stack:
            host, port = relay.address
            (server,) = servers.start(
                stack, tmp_path, f"embedded:{tmp_path / 'store.db'}", 1,
                f"--directory-mail-relay={host}:{port}",
                "--directory-mail-from=codes@talk.example",
                "--directory-http-listen=127.0.0.1:0", f"--directory-hosts={json.dumps(HOSTS)}",
            )  # fmt: skip
            pages = str(server.told["pages"])
            keep = (f"--state-dir={tmp_path / 'state'}", "--accounts")
            async with unit_agent(tmp_path, server.address, arguments=keep) as unit:
                ticket = await ticket_of(server.address, "anna")
                to = {
                    "timeout": WAIT_S,
                    "metadata": (("authorization", f"Bearer {ticket}"),),
                }
                async with grpc.aio.insecure_channel(unit) as channel:
                    stub = profile_pb2_grpc.ProfileServiceStub(channel)
                    assert (await asked(pages, "/@anna"))[0] == 404
                    await stub.ClaimHandle(pb.ClaimHandleRequest(handle="@Anna"), **to)
                    await stub.BeginProof(pb.BeginProofRequest(uri=MAIL), **to)
                    code = re.search(rb"code is (\d{4} \d{4})", relay.messages[0][1])
                    assert code is not None
                    confirm = pb.ConfirmIdentifierRequest(
                        uri=MAIL, code=code[1].decode(), findable=True
                    )
                    proved = (await stub.ConfirmIdentifier(confirm, **to)).settings
                    assert [one.state for one in proved.identifiers] == [pb.NAME_STATE_HELD]
                    assert [one.handle for one in proved.handles] == ["anna"]
                    everyone = pb.Audience(everyone=True)
                    disclose = pb.SetDisclosureRequest(uri=MAIL, audience=everyone)
                    await stub.SetDisclosure(disclose, **to)
                for resource in ("acct:anna@talk.example", MAIL):
                    status, body = await asked(pages, f"/.well-known/webfinger?resource={resource}")
                    document = json.loads(body)
                    assert (status, document["subject"]) == (200, "acct:anna@talk.example")
                    assert document["aliases"] == ["https://talk.example/@anna", MAIL]
                status, page = await asked(pages, "/@anna")
                assert (status, f'href="{MAIL}"' in page) == (200, True)
                status, card = await asked(pages, "/@anna.vcf")
                assert (status, "EMAIL:anna@mail.example" in card) == (200, True)
                await rename(server.address, "anna", "annabel")
                await shown(unit, to, ["annabel"])


async def rename(address: str, client: str, handle: str) -> None:
    """By an operator, at the directory: the unit has no part in it."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = directory_pb2_grpc.DirectoryServiceStub(channel)
        request = directory_pb2.ClaimHandleRequest(account=client, handle=handle, rename=True)
        await stub.ClaimHandle(request, timeout=WAIT_S)


async def shown(unit: str, to: dict[str, Any], held: list[str]) -> None:
    """Waits until the client's profile shows that these are its handles."""
    async with asyncio.timeout(WAIT_S), grpc.aio.insecure_channel(unit) as channel:
        stub = profile_pb2_grpc.ProfileServiceStub(channel)
        while True:
            settings = await stub.GetSettings(pb.GetSettingsRequest(), **to)
            has = [one.handle for one in settings.handles if one.state == pb.NAME_STATE_HELD]
            if has == held:
                return
            await asyncio.sleep(0.05)
