"""What `homeport store require-password` does: each etcd of the settings asks for its password."""

from __future__ import annotations

import asyncio
from typing import Any

from control_plane.errors import InvalidInput
from control_plane.store.etcd.password import USER, require_password
from control_plane.store.opening import StoreUrl, read_tls
from provisioner.settings import Settings
from provisioner.shards.clusters import parse_clusters


def carry_out(settings: Settings, *, within_s: float) -> dict[str, Any]:
    """The document of it. Raises InvalidInput for settings without an etcd or its password,
    StoreUnavailable (StoreRefused)."""
    urls = [settings.store]
    if settings.assignment_stores:
        urls += parse_clusters(settings.assignment_stores).values()
    if any(StoreUrl.parse(url).path is not None for url in urls):
        raise InvalidInput(
            "store", "an embedded store is a file and has no password; name an etcd with --store"
        )
    if settings.store_user != USER:
        raise InvalidInput(
            "store_user",
            f"etcd first asks for the password of {USER}: set store_user to {USER}, and give the "
            "password by store_password_file",
        )
    if not settings.store_password:
        raise InvalidInput(
            "store_password",
            "say which password: store_password_file, or HOMEPORT_STORE_PASSWORD",
        )
    return asyncio.run(_carry_out(settings, urls, within_s))


async def _carry_out(settings: Settings, urls: list[str], within_s: float) -> dict[str, Any]:
    access = settings.store_access()
    done = []
    for url in urls:
        changed = await require_password(
            StoreUrl.parse(url).endpoints,
            tls=read_tls(url, access),
            password=settings.store_password,
            timeout_s=within_s,
        )
        done.append({"store": url, "user": USER, "changed": changed})
    return {"stores": done}
