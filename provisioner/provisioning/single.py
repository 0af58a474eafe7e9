"""SingleProvision: a pending provision that one call waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from control_plane.errors import ServiceError
from control_plane.native_classes import mypyc_attr
from provisioner.provisioning.pending import PendingProvision


class Sink(Protocol):
    """Where the answer to a call goes."""

    def reply(self, response: bytes) -> None:
        """A ProvisionResponse."""
        ...

    def fail(self, error: ServiceError) -> None: ...


def waiting_since(
    kind: Callable[..., SingleProvision], since_ms: int
) -> Callable[..., SingleProvision]:
    """What makes the pending provision, of some kind, of a client that waits since then for room,
    Unix ms."""

    def made(*given: object) -> SingleProvision:
        one = kind(*given)
        one.waits_since_ms = since_ms
        return one

    return made


@mypyc_attr(allow_interpreted_subclasses=True)
class SingleProvision(PendingProvision[Sink]):
    """Answers its call."""

    __slots__ = ()

    def assigned(self, revision: int) -> None:
        recent = self.flow.recent
        if recent is not None:
            recent.give(self.key, self.value, revision)
        self.flow.assigned(self)

    def reply(self, response: bytes) -> None:
        self.receiver.reply(response)

    def fail(self, error: ServiceError) -> None:
        self.receiver.fail(self.told(error))
