"""Who is asking, behind trusted proxies: real servers, both transports, headers as proxies send
them. What each form of a hop means, tests/control_plane/serving/test_peers.py has in full."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import ExitStack

import pytest

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from tests.support import servers
from tests.support.raw_call import raw_call

SERVICE = "/homeport.api.provisioning.v1.ProvisioningService"
TRUSTED = ["::ffff:127.0.0.0/104", "198.51.100.0/24", "198.51.100.7", "2001:db8:9::1/48"]
IN_BRITAIN = "81.2.69.142"
_names = (f"asks-{n}" for n in itertools.count())


@pytest.fixture(scope="module", params=["native", "grpcio"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        (one,) = servers.start(
            stack, folder, f"embedded:{folder / 'store.db'}", 1, f"--transport={request.param}",
            f"--trusted-proxies={json.dumps(TRUSTED)}",
        )  # fmt: skip
        asyncio.run(servers.apply(one.address, servers.units(dublin=1_000)))
        yield one


async def located(server, *lines: str) -> str:
    """The country of a new client that sends these lines of the header; empty: nowhere."""
    request = pb.ProvisionRequest(client_id=next(_names)).SerializeToString()
    headers = [("x-forwarded-for", line) for line in lines]
    answer = await raw_call(server.address, f"{SERVICE}/Provision", request, headers)
    return pb.ProvisionResponse.FromString(answer).decision.location.country


@pytest.mark.parametrize(
    ("header", "country"),
    [
        pytest.param(IN_BRITAIN, "GB", id="one-hop"),
        pytest.param(f"{IN_BRITAIN},", "GB", id="a-trailing-comma"),
        pytest.param(f"{IN_BRITAIN}, ,127.0.0.1", "GB", id="an-empty-element-among-proxies"),
        pytest.param(f",\t,{IN_BRITAIN} ,,\t198.51.100.9,", "GB", id="blanks-and-tabs"),
        pytest.param(f"1.1.1.1, {IN_BRITAIN}, 127.0.0.2", "GB", id="right-most-untrusted"),
        pytest.param(f"{IN_BRITAIN}:4711", "GB", id="with-a-port"),
        pytest.param(f'"[::ffff:{IN_BRITAIN}]:4711"', "GB", id="mapped-in-brackets-in-quotes"),
        pytest.param(f"{IN_BRITAIN}, [2001:db8:9::7]:80", "GB", id="an-ipv6-proxy"),
        pytest.param(f"{IN_BRITAIN}, unknown", "", id="what-is-no-address-ends-it"),
        pytest.param(f"for={IN_BRITAIN}", "", id="another-headers-syntax"),
        pytest.param(f"{IN_BRITAIN}, 0.0.0.0", "", id="nobodys-address"),
        pytest.param("127.0.0.1", "", id="proxies-alone"),
        pytest.param("", "", id="nothing"),
    ],
)
async def test_a_proxy_is_believed_alike_on_both_transports(server, header, country):
    assert await located(server, header) == country


async def test_lines_of_the_header_are_one_list(server):
    """In one line or the other, the last untrusted hop counts."""
    assert await located(server, "1.1.1.1", IN_BRITAIN) == "GB"
    assert await located(server, IN_BRITAIN, "unknown") == ""


async def test_ordinary_methods_read_the_same_header(server):
    request = pb.ExplainPlacementRequest(client_id="explained").SerializeToString()
    headers = [("x-forwarded-for", f"{IN_BRITAIN},, 127.0.0.9")]
    answer = await raw_call(server.address, f"{SERVICE}/ExplainPlacement", request, headers)
    assert pb.ExplainPlacementResponse.FromString(answer).location.country == "GB"


async def test_a_proxy_that_adds_a_line_hides_those_before_from_grpcio(server):
    """gRPC's own server hands on the last line alone (findings/): there the proxy is all that
    is seen, and the log says so. The native transport has every line."""
    seen = await located(server, IN_BRITAIN, "127.0.0.9")
    if "(grpcio)" in server.log():
        assert seen == ""
        assert "lines of the header were lost" in server.log()
    else:
        assert seen == "GB"
