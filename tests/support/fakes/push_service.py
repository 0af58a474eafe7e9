"""PushService: an HTTP server that takes notices, or refuses them, as ntfy and Gotify do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from aiohttp import web


@dataclass
class PushService:
    """A context manager. status: of each answer; moves_to: where it sends who asks, with 307.
    notices: path and body of each."""

    status: int = 200
    moves_to: str = ""
    notices: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.notices.append((request.path, await request.text()))
        if self.moves_to:
            return web.Response(status=307, headers={"Location": self.moves_to})
        return web.json_response({}, status=self.status)
