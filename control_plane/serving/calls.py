"""HotCall and HotMethod: unary calls without a task, a context object or an await each.

A hot method is a plain function that is handed a call with the request's bytes and answers
it, now or later, from the event loop: `reply` or `fail`, once. Both transports carry hot
methods; on the native one a call costs one small object.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

from control_plane.errors import ServiceError
from control_plane.native_classes import mypyc_attr
from control_plane.serving.peer_identity import PeerIdentity

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]


@mypyc_attr(allow_interpreted_subclasses=True)
class HotCall:
    """One unary call that waits for its answer."""

    __slots__ = ("payload",)

    payload: bytes  # the request message

    @abstractmethod
    def reply(self, response: bytes) -> None:
        """Answers with a response message. A client that left is no error."""

    @abstractmethod
    def fail(self, error: ServiceError) -> None:
        """Answers with the error's status."""

    @abstractmethod
    def metadata(self) -> Metadata:
        """What the caller sent along, keys in lower case."""

    @abstractmethod
    def peer(self) -> str:
        """The other end of the connection as gRPC writes it: ipv4:…, ipv6:…, unix:…"""

    @abstractmethod
    def peer_identity(self) -> PeerIdentity | None:
        """Who the other end is, by the certificate it has shown and TLS has verified; None: it
        has shown none, or one that names nobody."""

    @abstractmethod
    def time_left_s(self) -> float | None:
        """Seconds until the caller's deadline as it was on arrival; None: it set none."""


HotMethod: TypeAlias = Callable[[HotCall], None]

HotForSome: TypeAlias = Callable[[HotCall], bool]
"""False: nothing was done, and the ordinary method answers, behind the interceptors."""
