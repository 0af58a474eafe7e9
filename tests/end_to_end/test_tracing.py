"""One trace from a program's own span, through the client library and a server, to the store."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import urllib.request
from contextlib import ExitStack

import grpc
import pytest

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from tests.support import servers
from tests.support.trace_collector import TraceCollector

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
STEPS = ["admit", "locate", "decide", "record", "answer"]
SERVICE = "homeport.api.provisioning.v1.ProvisioningService"
numbers = itertools.count(1_000)
PROGRAM = """
import asyncio, sys
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
import homeport
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(sys.argv[2], insecure=True)))
trace.set_tracer_provider(provider)
with trace.get_tracer("program").start_as_current_span("program") as span:
    print(f"{span.get_span_context().trace_id:032x}")
    with homeport.Client(sys.argv[1]) as client:
        client.provision("blocking", address="81.2.69.142")
        list(client.provision_many(["one", "two"]))
    async def run():
        async with homeport.AsyncClient(sys.argv[1]) as client:
            await client.provision("asynchronous", address="81.2.69.142")
    asyncio.run(run())
provider.shutdown()
"""


@pytest.fixture(scope="module")
def collector():
    with TraceCollector() as one:
        yield one


@pytest.fixture(scope="module", params=["native", "grpcio"])
def server(request, tmp_path_factory, collector):
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        (one,) = servers.start(
            stack, folder, f"embedded:{folder / 'store.db'}", 1, f"--transport={request.param}",
            f"--otlp-endpoint={collector.endpoint}", "--trace-ratio=0", "--http-listen=127.0.0.1:0",
        )  # fmt: skip
        asyncio.run(servers.apply(one.address, servers.units(dublin=1_000)))
        yield one


def test_one_trace_from_the_program_to_the_store(server, collector):
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, server.address, collector.endpoint],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    trace_id = ran.stdout.strip()
    spans = collector.wait(
        lambda found: (
            [one.name for one in found].count("store commit") == 2
            and len([one for one in found if one.kind == "SERVER"]) == 3
        ),
        trace_id,
    )
    of_id = {one.span_id: one for one in spans}
    (root,) = (one for one in spans if not one.parent_id)
    assert root.name == "program"
    clients = [one for one in spans if one.name == "ProvisioningService/Provision"]
    assert [one.parent_id for one in clients] == [root.span_id] * 2
    calls = [one for one in spans if one.name == f"{SERVICE}/Provision"]
    assert {one.parent_id for one in calls} == {one.span_id for one in clients}
    for call in calls:
        assert (call.service, call.kind, call.failed) == ("homeport-provisioner", "SERVER", False)
        assert call.attributes["rpc.grpc.status_code"] == 0
        assert call.attributes["homeport.unit"] == "dublin"
        steps = [one.name for one in spans if one.parent_id == call.span_id]
        assert sorted(steps) == sorted(STEPS)
    commits = [one for one in spans if one.name == "store commit"]
    assert {of_id[one.parent_id].name for one in commits} == {"record"}
    assert {of_id[of_id[one.parent_id].parent_id].span_id for one in commits} == {
        one.span_id for one in calls
    }
    (many,) = (one for one in spans if one.name == f"{SERVICE}/ProvisionMany")
    assert many.parent_id == root.span_id


async def ask(server, client_id: str, *metadata: tuple[str, str], **more: object) -> None:
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = pb_grpc.ProvisioningServiceStub(channel)
        await stub.Provision(
            pb.ProvisionRequest(client_id=client_id, **more), metadata=metadata, timeout=10
        )


def parent_of(number: int, flags: str = "01") -> tuple[str, tuple[str, str]]:
    """Another trace for each number, and the header that names it."""
    trace_id = f"{number:032x}"
    return trace_id, ("traceparent", f"00-{trace_id}-{SPAN}-{flags}")


async def test_a_transaction_that_serves_many_calls_is_linked_with_them(server, collector):
    traces = [parent_of(next(numbers)) for _ in range(40)]
    calls = [ask(server, f"crowd-{trace_id}", parent) for trace_id, parent in traces]
    await asyncio.gather(*calls)
    ids = {one for one, _ in traces}

    def enough(found):
        return len({one.trace_id for one in found if one.name == "answer"} & ids) == len(ids)

    await asyncio.to_thread(collector.wait, enough)
    spans = [one for one in collector.spans() if one.trace_id in ids]
    records = {one.span_id: one for one in spans if one.name == "record"}
    commits = [one for one in spans if one.name == "store commit"]
    assert any(one.links for one in commits)
    served = [span_id for one in commits for span_id in (one.parent_id, *one.links)]
    assert sorted(served) == sorted(records)
    of_id = {one.span_id: one for one in commits}
    for commit in commits:
        for linked in commit.links:
            assert records[linked].links == (commit.span_id,)
            assert records[linked].trace_id != of_id[commit.span_id].trace_id


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param([("traceparent", "nonsense")], id="nonsense"),
        pytest.param([("traceparent", "00-" + "0" * 32 + "-" + SPAN + "-01")], id="no-trace"),
        pytest.param([("traceparent", "0" * 7_000)], id="long"),
        pytest.param([("tracestate", "a=1")], id="a-state-alone"),
        pytest.param([parent_of(79, "00")[1]], id="not-sampled"),
    ],
)
async def test_a_call_that_is_not_traced_is_answered_like_any_other(server, collector, metadata):
    before = {one.trace_id for one in collector.spans()}
    await ask(server, "untraced", *metadata)
    trace_id, parent = parent_of(next(numbers))
    await ask(server, "untraced", parent)  # what comes later is here when this one is
    await asyncio.to_thread(
        collector.wait, lambda found: any(one.kind == "SERVER" for one in found), trace_id
    )
    assert {one.trace_id for one in collector.spans()} - before == {trace_id}


async def test_a_known_client_and_a_refused_call_are_traced_to_their_end(server, collector):
    await ask(server, "known")
    trace_id, parent = parent_of(next(numbers))
    await ask(server, "known", parent)
    spans = await asyncio.to_thread(
        collector.wait, lambda found: any(one.kind == "SERVER" for one in found), trace_id
    )
    assert {"admit", "locate", "answer"} < {one.name for one in spans}
    trace_id, parent = parent_of(next(numbers))
    with pytest.raises(grpc.aio.AioRpcError):
        await ask(server, "x" * 200, parent)
    (call,) = await asyncio.to_thread(collector.wait, len, trace_id)
    assert (call.attributes["rpc.grpc.status_code"], call.failed) == (3, False)


def test_a_call_over_http_is_traced_like_another(server, collector):
    trace_id, (name, parent) = parent_of(next(numbers))
    request = urllib.request.Request(
        f"http://{server.told['http']}/v1/tenants/default/clients/over-http:provision",
        data=b"{}",
        headers={name: parent, "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    spans = collector.wait(lambda found: any(one.kind == "SERVER" for one in found), trace_id)
    (call,) = (one for one in spans if one.kind == "SERVER")
    assert (call.name, call.parent_id) == (f"{SERVICE}/Provision", SPAN)
    assert set(STEPS) < {one.name for one in spans}


@pytest.mark.parametrize("stuck", [False, True], ids=["nobody-listens", "it-never-answers"])
async def test_calls_are_answered_while_the_collector_is_away(tmp_path, stuck):
    with TraceCollector(stuck=True) as away, ExitStack() as stack:
        endpoint = away.endpoint if stuck else "http://127.0.0.1:9"
        (one,) = servers.start(
            stack, tmp_path, f"embedded:{tmp_path / 'store.db'}", 1,
            f"--otlp-endpoint={endpoint}", "--trace-ratio=1",
        )  # fmt: skip
        await servers.apply(one.address, servers.units(dublin=2_000))
        async with grpc.aio.insecure_channel(one.address) as channel:
            stub = pb_grpc.ProvisioningServiceStub(channel)
            for batch in range(10):  # 12,000 spans, three times what waits for a collector
                await asyncio.gather(
                    *(
                        stub.Provision(pb.ProvisionRequest(client_id=f"{batch}-{n}"), timeout=30)
                        for n in range(200)
                    )
                )
        one.process.terminate()
        assert await asyncio.to_thread(one.process.wait, 30) == 0


def test_a_server_without_opentelemetry_says_what_to_install(tmp_path):
    hide = "import sys; sys.modules['opentelemetry'] = None; import provisioner.__main__ as m; "
    ran = subprocess.run(
        [sys.executable, "-c", hide + "sys.argv[0] = 'x'; raise SystemExit(m.main())",
         f"--store=embedded:{tmp_path / 'store.db'}", "--listen=127.0.0.1:0",
         "--otlp-endpoint=http://127.0.0.1:9"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert "install homeport-server[tracing]" in ran.stderr
