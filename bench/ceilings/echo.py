"""Bare gRPC servers: take a request of our size, answer a response of our size.

The handlers work on bytes, without protobuf, which is the most generous ceiling there is.

    python -m bench.ceilings.echo --transport grpcio|native --ready-file FILE
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import grpc
import uvloop

from bench.workloads import ECHO, sample_response


async def serve(transport: str, ready_file: Path) -> None:
    """Until SIGTERM."""
    answer = sample_response()

    async def say(request: bytes, context: Any) -> bytes:
        return answer

    if transport == "native":
        import pygrpc_native.aio as native

        server: grpc.aio.Server = native.server()
    else:
        server = grpc.aio.server()
    service, _, method = ECHO.lstrip("/").partition("/")
    handler: Any = grpc.unary_unary_rpc_method_handler(say)
    server.add_registered_method_handlers(service, {method: handler})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    scratch = ready_file.with_suffix(".part")
    scratch.write_text(json.dumps({"grpc": f"127.0.0.1:{port}"}))
    scratch.replace(ready_file)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(0.5)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--transport", choices=["grpcio", "native"], required=True)
    arguments.add_argument("--ready-file", type=Path, required=True)
    given = arguments.parse_args()
    uvloop.run(serve(given.transport, given.ready_file))


if __name__ == "__main__":
    main()
