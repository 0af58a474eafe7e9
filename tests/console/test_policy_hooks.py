"""A real server asks a tenant's own service, and says what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest

from homeport.api.hook.v1 import hook_pb2 as pb
from homeport.api.hook.v1 import hook_pb2_grpc as pb_grpc
from tests.support import servers
from tests.support.command_line import CommandLine, Ran

IN_IRELAND = "81.2.69.142"  # an address that the bundled database locates
POLICY = "policy: 1\nrules: [{name: fast, hook: {name: %s, away: refuse, deadline_ms: 2000}}]\n"


class Service(pb_grpc.PlacementHookServiceServicer):
    """Puts virginia first."""

    def __init__(self) -> None:
        self.asked: list[pb.RankUnitsRequest] = []

    def RankUnits(
        self, request: pb.RankUnitsRequest, context: grpc.ServicerContext
    ) -> pb.RankUnitsResponse:
        self.asked.append(request)
        return pb.RankUnitsResponse(order=["virginia"])


@contextmanager
def served() -> Iterator[tuple[Service, str]]:
    with ThreadPoolExecutor(2) as threads:
        server, service = grpc.server(threads), Service()
        pb_grpc.add_PlacementHookServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield service, f"127.0.0.1:{port}"
        server.stop(None).wait()


@pytest.mark.slow
def test_clients_live_where_the_hook_says(cli: CommandLine, tmp_path: Path) -> None:
    with served() as (service, endpoint), ExitStack() as stack:
        hooks = tmp_path / "hooks.yaml"
        hooks.write_text(f'hooks: {{latency: {{endpoint: "{endpoint}", tenants: [default]}}}}')
        (made,) = servers.start(
            stack, tmp_path, f"embedded:{tmp_path}/store.db", 1, f"--policy-hooks={hooks}"
        )
        asyncio.run(servers.apply(made.address, servers.units(dublin=9, virginia=9)))

        def run(*arguments: str, stdin: str = "") -> Ran:
            return cli(*arguments, "--server", made.address, stdin=stdin.encode())

        unknown = run("policy", "apply", "-", stdin=POLICY % "latencey")
        assert unknown.code == 2
        assert 'may name no hook "latencey"; did you mean latency?' in unknown.err
        assert run("policy", "apply", "-", stdin=POLICY % "latency").code == 0
        home = run("provision", "anna", "--ip", IN_IRELAND, "-o", "json").document
        assert (home["unit"], home["rule"]) == ("virginia", "hook")
        (request,) = service.asked
        assert (request.tenant, request.country, request.client_id) == ("default", "GB", "")
        assert [one.unit_id for one in request.candidates] == ["dublin", "virginia"]
        why = run("explain", "ben", "--ip", IN_IRELAND, "-o", "json").document
        assert why["policy"]["hook"]["order"] == ["virginia"]
        assert why["policy"]["hook"]["answered"] is True
        assert why["units"][0]["reason"].endswith("ranked first by hook latency")
        assert len(service.asked) == 1, "one answer is for all clients of the place"
