"""Which methods of a unit's services a page may call, and what they take and give.

All that take one message and give one, as the contract has them: so what a service learns, pages
can do, and no rule of it is written twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pool, message_factory

from control_plane.serving.server import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class WebMethod:
    """path: as gRPC has it; request, response: message classes."""

    path: str
    request: type[Any]
    response: type[Any]


def web_methods(services: Iterable[Service]) -> dict[tuple[str, str], WebMethod]:
    """By the names of service, without its package, and method. Raises KeyError for a service that
    is in no contract."""
    found = {}
    for service in services:
        described = descriptor_pool.Default().FindServiceByName(service.name)
        for method in described.methods:
            if method.client_streaming or method.server_streaming:
                continue
            found[described.name, method.name] = WebMethod(
                path=f"/{described.full_name}/{method.name}",
                request=message_factory.GetMessageClass(method.input_type),
                response=message_factory.GetMessageClass(method.output_type),
            )
    return found
