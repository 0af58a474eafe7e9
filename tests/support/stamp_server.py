"""An HTTP port that tells each caller when its device booted, as far as its connections say.

    python -m tests.support.stamp_server HOST:PORT

GET /NAME answers with the instant, as JSON, by all connections that came with that name.
"""

from __future__ import annotations

import asyncio
import sys
import time

from aiohttp import web
from msgspec.structs import asdict

from control_plane.http_serving.listener import HttpListener, peer_of_request
from deployment_units.services.device_graph.capture import StampsTogether, SynStamps
from deployment_units.services.device_graph.evidence import BootInstant, NoBoot, boot_of


async def main(listen: str) -> None:
    stamps, together = SynStamps(wall_ms=lambda: time.time_ns() // 1_000_000), StampsTogether()

    async def tell(request: web.Request) -> web.Response:
        came = stamps.of(peer_of_request(request))
        name = request.match_info["name"]
        boot = NoBoot.NOTHING if came is None else boot_of(together.add(name, came))
        said = asdict(boot) if isinstance(boot, BootInstant) else {"none": boot.name}
        return web.json_response(said)

    listener = HttpListener(
        listen,
        what="a test",
        add_routes=lambda router: router.add_get("/{name}", tell),
        error=lambda status, text: web.Response(status=status, text=text),
        max_body_bytes=1_000,
        observer=stamps,
    )
    await listener.start()
    print(listener.address, flush=True)
    try:
        await asyncio.sleep(600.0)
    finally:
        await listener.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
