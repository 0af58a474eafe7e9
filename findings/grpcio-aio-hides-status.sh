#!/bin/sh
# grpcio: a grpc.aio client may hear INTERNAL where the server said INVALID_ARGUMENT.
#
# Expected: a server may end a stream at any time, and the client hears its status, also where it
# was writing just then; the blocking client of the same package does.
# What happens: where a write meets the end of the call, the call of a grpc.aio client ends with
# INTERNAL, "Internal error from Core", now and then; the status that came is lost. The same
# requests through the blocking client always end with the server's status.
# Why it matters here: a refused stream would look like a defect of the server. So a stream that is
# refused is read on for a moment (control_plane/serving/request_reading.py), after which it is
# rare; and tests/fuzz does not count these words, which no server says.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet grpcio==1.85.3
cat > "$folder/check.py" <<'PYTHON'
import asyncio
import sys
from collections import Counter

import grpc
from grpc import aio

CALLS, MOST = 400, 20_000


async def refuse(requests, context):
    async for _ in requests:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
    yield b""


async def one(channel):
    async def requests():
        for _ in range(4):
            yield b"x" * 2_000

    try:
        await channel.stream_stream("/s/m")(requests(), timeout=20).read()
    except aio.AioRpcError as error:
        return error.code().name, error.details()
    return "OK", ""


def blocking(port):
    heard = Counter()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(CALLS):
            try:
                list(channel.stream_stream("/s/m")(iter([b"x" * 2_000] * 4), timeout=20))
            except grpc.RpcError as error:
                heard[error.code().name, error.details()] += 1
    return heard


async def main():
    server = aio.server()
    handler = grpc.stream_stream_rpc_method_handler(refuse)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", {"m": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    heard = Counter()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        # It is a race: until it was seen a few times.
        while heard["INTERNAL", "Internal error from Core"] < 5 and heard.total() < MOST:
            heard[await one(channel)] += 1
    plain = await asyncio.to_thread(blocking, port)
    await server.stop(0)
    print("grpcio", grpc.__version__)
    print("server said INVALID_ARGUMENT to every call")
    print("grpc.aio client heard", dict(heard))
    print("blocking client heard", dict(plain))
    hidden = heard["INTERNAL", "Internal error from Core"]
    return 0 if hidden and set(plain) == {("INVALID_ARGUMENT", "no")} else 1


sys.exit(asyncio.run(main()))
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
