"""StoreAccessSettings: who a service is to an etcd and whom it trusts there, the same for every
service that has a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from control_plane.exposure import check_key_pair
from control_plane.settings import ServiceSettings, said_by
from control_plane.store.opening import EtcdAccess


class StoreAccessSettings(ServiceSettings):
    """Which store it is stands in a field `store` of the service's own."""

    secrets: ClassVar[tuple[str, ...]] = ("store_password",)

    store_ca: Annotated[Path | None, Field(description="PEM; the store's CA")] = None
    store_certificate: Annotated[Path | None, Field(description="PEM, for mTLS to etcd")] = None
    store_key: Annotated[Path | None, Field(description="PEM, for mTLS to etcd")] = None
    store_user: Annotated[
        str,
        Field(description="etcd user; its password is better given by the environment or a file"),
    ] = ""
    store_password: Annotated[
        str, Field(description="better given by the environment or store_password_file")
    ] = ""
    store_password_file: Annotated[
        Path | None, Field(description="file with the password of store_user, closed to others")
    ] = None

    def misfits(self) -> Iterator[str]:
        """See ServiceSettings."""
        yield from super().misfits()
        yield from said_by(
            lambda: check_key_pair(self.store_certificate, self.store_key, prefix="store-")
        )

    def store_access(self, *, required: bool = True) -> EtcdAccess:
        """How the store is opened, and every other cluster. required: see EtcdStore.connect."""
        return EtcdAccess(
            user=self.store_user or None,
            password=self.store_password or None,
            ca_file=self.store_ca,
            certificate_file=self.store_certificate,
            key_file=self.store_key,
            required=required,
        )
