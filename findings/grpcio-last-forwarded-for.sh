#!/bin/sh
# grpcio: of several x-forwarded-for lines, a server (and a client) sees the last one alone.
#
# Expected: lines of one header field are one list, in order (RFC 9110, 5.3), and gRPC metadata
# may repeat a key; any other key, such as x-other here, does arrive twice.
# What happens: gRPC's core knows x-forwarded-for by name, as a field that occurs once, and each
# line replaces the one before it, when it is received and when it is sent. Nothing tells that
# there were more.
# Why it matters here: proxies that add a line of their own (HAProxy's `option forwardfor` does)
# hide the client's address from `--transport grpcio`, which has to take the proxy for it. The
# native transport shows every line. docs/reference/geo.md says what to do.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet grpcio==1.85.3
cat > "$folder/check.py" <<'PYTHON'
import asyncio
import sys

import grpc
from grpc import aio

LINES = [("x-forwarded-for", "81.2.69.142"), ("x-forwarded-for", "127.0.0.9"),
         ("x-other", "a"), ("x-other", "b")]


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name, value):
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


async def main():
    seen = asyncio.Queue()

    async def handle(request, context):
        seen.put_nowait([(k, v) for k, v in context.invocation_metadata() if k.startswith("x-")])
        return b""

    server = aio.server()
    handler = grpc.unary_unary_rpc_method_handler(handle)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", {"m": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    # A client that sends both lines, as HTTP/2 has them.
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    headers = [(":method", "POST"), (":scheme", "http"), (":path", "/s/m"), (":authority", "x"),
               ("content-type", "application/grpc"), ("te", "trailers"), *LINES]
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
                 + frame(1, 4, 1, b"".join(literal(*one) for one in headers))
                 + frame(0, 1, 1, bytes(5)))
    await writer.drain()
    received = await asyncio.wait_for(seen.get(), 20)
    writer.close()
    await server.stop(0)

    print("grpcio", grpc.__version__)
    print("sent:    ", LINES)
    print("received:", received)
    known = LINES[1:]
    sys.exit(0 if received == known else "the behaviour has changed: expected " + str(known))


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
