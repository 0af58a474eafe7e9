"""Opens the store that a URL names: `embedded:PATH`, `etcd://h:p,h:p` or `etcds://h:p,h:p`.

Knows the adapters by name and imports one when it is asked for, so that the embedded default
needs no etcd client and the other way round. Passwords do not belong in the URL, which ends
up in logs and process listings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from control_plane.store.port import Store

if TYPE_CHECKING:
    from control_plane.store.etcd import Tls

_FORMS = "write embedded:PATH, etcd://host:port,host:port or etcds://host:port (with TLS)"


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdAccess:
    """What opening an etcd needs beside its endpoints. Files are PEM.

    `ca_file`: who signed etcd's certificate, if not one of the system's authorities;
    `server_name`: the name in it, if not the endpoint's host. Certificate and key make TLS
    mutual. `required`: see EtcdStore.connect.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    required: bool = True

    @property
    def has_tls(self) -> bool:
        return any((self.ca_file, self.certificate_file, self.key_file, self.server_name))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUrl:
    """A store URL taken apart: `path` for embedded, `endpoints` for etcd."""

    scheme: str  # embedded, etcd or etcds
    path: Path | None = None
    endpoints: tuple[str, ...] = ()

    @classmethod
    def parse(cls, url: str) -> StoreUrl:
        """Raises InvalidInput that says how to write it."""
        scheme, colon, rest = url.partition(":")
        if not colon or scheme not in ("embedded", "etcd", "etcds"):
            raise InvalidInput(
                "store", f"{_shown(url)} names no store that Homeport knows; {_FORMS}"
            )
        if scheme == "embedded":
            if not rest:
                raise InvalidInput("store", f"{quoted(url)} has no path; write embedded:PATH")
            return cls(scheme=scheme, path=Path(rest).expanduser())
        if not rest.startswith("//"):
            raise InvalidInput("store", f"{_shown(url)} lacks the slashes; write {scheme}://{rest}")
        rest = rest[2:].removesuffix("/")
        if "@" in rest:
            raise InvalidInput(
                "store",
                "the store's URL holds a user or password; give them in settings of their own, "
                "because URLs end up in logs",
            )
        if "/" in rest or "?" in rest:
            raise InvalidInput("store", f"{quoted(url)} has more than endpoints; {_FORMS}")
        endpoints = tuple(part.strip() for part in rest.split(",") if part.strip())
        if not endpoints:
            raise InvalidInput("store", f"{quoted(url)} names no endpoint; {_FORMS}")
        return cls(scheme=scheme, endpoints=endpoints)


async def open_store(
    url: str, *, access: EtcdAccess | None = None, timeout_s: float = 5.0
) -> Store:
    """The opened store. `timeout_s` becomes the default deadline of etcd's calls.

    Raises InvalidInput (the URL, or TLS settings that do not go with it, or a certificate
    file that cannot be read) and what the adapter raises when it cannot open.
    """
    parsed = StoreUrl.parse(url)
    access = access or EtcdAccess()
    if parsed.path is not None:
        from control_plane.store.embedded import EmbeddedStore

        return await EmbeddedStore.open(parsed.path)
    from control_plane.store.etcd import EtcdStore

    return await EtcdStore.connect(
        parsed.endpoints,
        tls=read_tls(url, access),
        user=access.user,
        password=access.password,
        timeout_s=timeout_s,
        required=access.required,
    )


def read_tls(url: str, access: EtcdAccess) -> Tls | None:
    """What secures the way to an etcd; None: nothing does. Raises InvalidInput as open_store."""
    from control_plane.store.etcd import Tls

    if StoreUrl.parse(url).scheme != "etcds":
        if access.has_tls:
            raise InvalidInput(
                "store",
                f"certificates are set, but {quoted(url)} is without TLS; write etcds:// instead",
            )
        return None
    try:
        return Tls.from_files(
            ca=access.ca_file,
            certificate=access.certificate_file,
            key=access.key_file,
            server_name=access.server_name,
        )
    except OSError as error:
        raise InvalidInput("tls", f"cannot read {error.filename}: {error.strerror}") from error


def _shown(url: str) -> str:
    """The URL for a message, without what may be a password."""
    return quoted(url if "@" not in url else "…@" + url.rpartition("@")[2])
