"""`python -m tests.support.kube.port_forward NAMESPACE SERVICE PORT`: in place of `kubectl
port-forward`, whose connections nodes of ours do not take: from localhost to the Service's address.

Runs until SIGTERM.
"""

from __future__ import annotations

import asyncio
import sys

from tests.support.kube.services import pump
from tests.support.kube.tools import KUBECTL, run

_CONNECT_S = 5.0


async def forward(address: str, port: int) -> None:
    """Passes connections on until it is cancelled."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                there, back = await asyncio.open_connection(address, port)
        except (OSError, TimeoutError):
            writer.transport.abort()
            return
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(pass_on, "127.0.0.1", port)
    print(f"Forwarding from 127.0.0.1:{port} -> {port}", flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    namespace, service, port = sys.argv[1:]
    address = run(
        [str(KUBECTL), f"--namespace={namespace}", "get", service, "-o",
         "jsonpath={.spec.clusterIP}"]
    )  # fmt: skip
    asyncio.run(forward(address, int(port)))


if __name__ == "__main__":
    main()
