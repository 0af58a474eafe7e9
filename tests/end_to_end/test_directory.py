"""The directory over the wire, on both transports: a unit acts for those who are at home there."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import pytest

from console.cli.main import main
from homeport.api.directory.v1 import directory_pb2 as pb
from homeport.api.directory.v1 import directory_pb2_grpc as pb_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as provisioning_pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as provisioning_grpc
from homeport.api.status.v1 import status_pb2
from tests.support import servers
from tests.support.fakes.smtp_relay import SmtpRelay

ADMIN, OWN, OTHER = "an-admin", "agent-of-dublin", "agent-of-mumbai"
TOKENS = {ADMIN: ["admin"], OWN: ["unit"], OTHER: ["unit"]}
UNITS = {OWN: "dublin", OTHER: "mumbai"}


def tokens_file() -> str:
    lines = []
    for token, roles in TOKENS.items():
        digest = hashlib.sha256(token.encode()).hexdigest()
        lines += ["[[token]]", f'name = "{token}"', f'sha256 = "{digest}"', f"roles = {roles}"]
        lines += [f'units = ["{UNITS[token]}"]'] if token in UNITS else []
    return "\n".join(lines).replace("'", '"')


@pytest.fixture(scope="module")
def relay_port() -> int:
    """Where the mail relay listens, once there is one."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


@pytest.fixture(scope="module", params=["native", pytest.param("grpcio", marks=pytest.mark.slow)])
def server(request, tmp_path_factory, relay_port) -> Iterator[servers.Server]:
    folder = tmp_path_factory.mktemp(request.param)
    tokens = folder / "tokens.toml"
    tokens.write_text(tokens_file())
    tokens.chmod(0o600)
    with ExitStack() as stack:
        (one,) = servers.start(
            stack, folder, f"embedded:{folder / 'store.db'}", 1, f"--transport={request.param}",
            f"--tokens={tokens}", f"--directory-mail-relay=127.0.0.1:{relay_port}",
            "--directory-mail-from=codes@talk.example",
        )  # fmt: skip
        asyncio.run(prepare(one.address))
        yield one


async def prepare(address: str) -> None:
    """Anna and Ben are at home in Dublin, the only unit there is at first."""
    await servers.apply(address, servers.units(dublin=100), metadata=shown(ADMIN))
    async with grpc.aio.insecure_channel(address) as channel:
        stub = provisioning_grpc.ProvisioningServiceStub(channel)
        for client in ("anna", "ben", "mallory"):
            await stub.Provision(
                provisioning_pb.ProvisionRequest(client_id=client, address="81.2.69.142"),
                metadata=shown(ADMIN),
            )
    await servers.apply(address, servers.units(mumbai=100), metadata=shown(ADMIN))


def shown(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]


@pytest.fixture
async def stub(server):
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield pb_grpc.DirectoryServiceStub(channel)


HOME = pb.ActingHome(unit_id="dublin", epoch=1)


def reason_of(error: grpc.aio.AioRpcError) -> tuple[str, dict[str, str]]:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for one in status_pb2.Status.FromString(value).details:
                if one.type_url.endswith("ErrorInfo"):
                    info = status_pb2.ErrorInfo.FromString(one.value)
                    return info.reason, dict(info.metadata)
    return "", {}


async def refusal(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), reason_of(raised.value)[0]


async def test_a_unit_claims_for_its_own_and_for_nobody_elses(stub):
    async def claim(account, handle, token=OWN, home=HOME, **more):
        request = pb.ClaimHandleRequest(account=account, handle=handle, home=home, **more)
        return await stub.ClaimHandle(request, metadata=shown(token), timeout=10)

    claimed = await claim("anna", "@Anna", request_id="one")
    assert claimed.handle == "anna"
    assert await claim("anna", "@Anna", request_id="one") == claimed
    assert await refusal(claim("ben", "anna")) == (grpc.StatusCode.ALREADY_EXISTS, "TAKEN")
    assert await refusal(claim("ben", "admin")) == (grpc.StatusCode.ALREADY_EXISTS, "RESERVED")
    denied, _ = await refusal(claim("ben", "ben", token=OTHER))
    assert denied is grpc.StatusCode.PERMISSION_DENIED
    elsewhere = pb.ActingHome(unit_id="mumbai", epoch=1)
    assert await refusal(claim("ben", "ben", token=OTHER, home=elsewhere)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "STALE_EPOCH",
    )
    assert (await refusal(claim("ben", "ben", home=None)))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert (await claim("ben", "ben", token=ADMIN, home=None)).handle == "ben"


async def test_a_handle_is_offered_accepted_and_given_back(stub):
    await stub.ClaimHandle(
        pb.ClaimHandleRequest(account="mallory", handle="mall", home=HOME), metadata=shown(OWN)
    )
    offered = await stub.OfferHandle(
        pb.OfferHandleRequest(account="mallory", handle="mall", home=HOME, to_account="ben"),
        metadata=shown(OWN),
    )
    accept = pb.AcceptHandleRequest(
        account="ben", offer=offered.offer, home=HOME, rename=True, request_id="x"
    )
    assert (await stub.AcceptHandle(accept, metadata=shown(OWN))).handle == "mall"
    release = pb.ReleaseHandleRequest(account="ben", handle="mall", home=HOME)
    assert (await stub.ReleaseHandle(release, metadata=shown(OWN))).released
    assert not (await stub.ReleaseHandle(release, metadata=shown(OWN))).released


async def test_a_home_follows_its_account_and_nobody_elses(stub):
    async def watch(token=OWN, home=HOME):
        return stub.WatchAccount(
            pb.WatchAccountRequest(account="mallory", home=home), metadata=shown(token), timeout=60
        )

    told = await watch()
    first = (await told.read()).account
    assert (first.account, first.residence.unit_id) == ("mallory", "dublin")
    await stub.ClaimHandle(
        pb.ClaimHandleRequest(account="mallory", handle="mallorca", home=HOME, rename=True),
        metadata=shown(OWN),
    )
    after = first
    while [one.handle for one in after.handles] != ["mallorca"]:
        message = await told.read()
        after = message.account if message.HasField("account") else after
    told.cancel()
    elsewhere = pb.ActingHome(unit_id="mumbai", epoch=1)
    assert await refusal((await watch(OTHER, elsewhere)).read()) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "STALE_EPOCH",
    )
    denied, _ = await refusal((await watch(OTHER)).read())
    assert denied is grpc.StatusCode.PERMISSION_DENIED


async def test_an_address_is_proved_by_a_code_that_comes_by_mail(stub, relay_port):
    address = pb.Identifier(uri="mailto:Anna@mail.example")
    async with SmtpRelay(port=relay_port) as relay:
        begun = await stub.BeginProof(
            pb.BeginProofRequest(account="anna", identifier=address, home=HOME),
            metadata=shown(OWN),
        )
    assert begun.channel == "mail"
    code = re.search(rb"code is (\d{4} \d{4})", relay.messages[0][1])[1].decode()

    def finish(said: str):
        return stub.FinishProof(
            pb.FinishProofRequest(
                account="anna", identifier=address, code=said, home=HOME, findable=True
            ),
            metadata=shown(OWN),
        )

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await finish("00000000" if code != "0000 0000" else "11111111")
    assert reason_of(refused.value) == ("WRONG_CODE", {"tries_left": "4"})
    proved = await finish(code)
    found = await stub.GetAccount(
        pb.GetAccountRequest(account="anna", home=HOME), metadata=shown(OWN)
    )
    assert [(one.kind, one.digest) for one in found.identifiers] == [("mailto", proved.digest)]
    assert found.identifiers[0].state == pb.CLAIM_STATE_HELD
    resolve = pb.ResolveRequest(identifier=address, viewer="ben", home=HOME)
    (one,) = (await stub.Resolve(resolve, metadata=shown(OWN))).residences
    assert (one.account, one.unit_id, one.epoch) == ("anna", "dublin", 1)
    assert one.endpoint == "dublin.example.net:443"
    assert one.introduction.count(".") == 2
    released = pb.ReleaseIdentifierRequest(account="anna", identifier=address, home=HOME)
    assert (await stub.ReleaseIdentifier(released, metadata=shown(OWN))).released
    assert (await refusal(stub.Resolve(resolve, metadata=shown(OWN))))[0] is (
        grpc.StatusCode.NOT_FOUND
    )


async def test_an_operator_proves_an_address_by_commands(
    server, relay_port, capsys, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOMEPORT_TOKEN", ADMIN)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    async def ran(*words: str) -> tuple[int, dict]:
        run = [*words, "--account", "ben", "--server", server.address, "-o", "json"]
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(main, ["identifiers", *run])
        return int(ended.value.code or 0), json.loads(capsys.readouterr().out or "{}")

    name = " Ben@MAIL.example"
    async with SmtpRelay(port=relay_port) as relay:
        code, begun = await ran("add", name, "--request-id", "one")
        assert (code, begun["channel"], begun["tries_left"]) == (0, "mail", 5)
        assert await ran("add", name, "--request-id", "one") == (code, begun)
    ((_, content),) = relay.messages
    sent = re.search(rb"code is (\d{4} \d{4})", content)[1].decode()
    assert await ran("confirm", name, "1234") == (2, {})
    assert await ran("confirm", name, "00000000" if sent[0] != "0" else "11111111") == (4, {})
    confirm = ("confirm", "mailto:ben@mail.example", sent, "--findable", "--request-id", "two")
    code, proved = await ran(*confirm)
    assert (code, proved["kind"], proved["held"]) == (0, "mailto", True)
    assert await ran(*confirm) == (code, proved)
    assert (await ran(*confirm[:-1], "three"))[0] == 4  # no code is waited for any more
    (one,) = (await ran("list"))[1]["identifiers"]
    assert (one["digest"], one["state"], one["findable"]) == (proved["digest"], "held", True)
    assert await ran("remove", name) == (0, {"account": "ben", "released": True})
    assert await ran("remove", name) == (3, {})
    assert await ran("remove", "@ben") == (2, {})
    assert await ran("add", "@ben") == (2, {})
    assert (await ran("add", "tel:+442079460018"))[0] == 4  # no channel leads there
    assert (await ran("list"))[1]["identifiers"] == []


async def test_while_the_relay_is_away_nothing_is_proved(stub):
    request = pb.BeginProofRequest(
        account="ben", identifier=pb.Identifier(uri="ben@mail.example"), home=HOME
    )
    code, _ = await refusal(stub.BeginProof(request, metadata=shown(OWN), timeout=30))
    assert code is grpc.StatusCode.UNAVAILABLE


async def test_a_unit_says_for_whom_it_looks_up(stub):
    request = pb.ResolveRequest(identifier=pb.Identifier(uri="@anna"), home=HOME)
    code, _ = await refusal(stub.Resolve(request, metadata=shown(OWN)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_who_walks_is_stopped(stub):
    told = []
    for number in range(40):
        request = pb.ResolveRequest(
            identifier=pb.Identifier(uri=f"tel:+4420794600{number:02}"),
            viewer="mallory",
            home=HOME,
            viewer_address="192.0.2.7",
        )
        told.append((await refusal(stub.Resolve(request, metadata=shown(OWN))))[0])
    assert told[0] is grpc.StatusCode.NOT_FOUND
    assert told[-1] is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    "fields",
    [
        {"request_id": "x" * 65}, {"request_id": "a b"}, {"account": ""}, {"account": "a/b"},
        {"handle": ""}, {"handle": "x"}, {"handle": "anna@mail.example"},
    ],
    ids=str,
)  # fmt: skip
async def test_what_means_nothing_is_refused(stub, fields):
    request = pb.ClaimHandleRequest(**({"account": "anna", "handle": "anna"} | fields))
    code, _ = await refusal(stub.ClaimHandle(request, metadata=shown(ADMIN)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
