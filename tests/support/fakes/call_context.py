"""FakeContext: what a servicer sees of a call: its metadata, and where it comes from."""

from __future__ import annotations


class FakeContext:
    """A call with a token, or without one."""

    def __init__(self, token: str = "") -> None:
        self._token = token

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._token}"),) if self._token else ()

    def auth_context(self) -> dict[str, list[bytes]]:
        return {}

    def peer(self) -> str:
        return "ipv4:198.51.100.7:40000"
