"""What `homeport store check-clients` does: opens the store as a server would, and compares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from control_plane.errors import InvalidInput, Unavailable
from control_plane.printable import quoted
from control_plane.store.opening import StoreUrl, open_store
from control_plane.store.port import Compacted
from provisioner.ledger.client_checking import check_clients
from provisioner.settings import Settings


def checked(settings: Settings, told: Callable[[str, int], None]) -> dict[str, Any]:
    """The document of it. Raises InvalidInput for an embedded store that is not there,
    StoreUnavailable, DamagedRecord; Unavailable where the store has forgotten the revision."""
    path = StoreUrl.parse(settings.store).path
    if path is not None and not path.exists():
        raise InvalidInput("store", f"there is no store {quoted(str(path))}")
    return asyncio.run(_checked(settings, told))


async def _checked(settings: Settings, told: Callable[[str, int], None]) -> dict[str, Any]:
    store = await open_store(settings.store, access=settings.store_access())
    try:
        quotas = await check_clients(store, told)
    except Compacted as error:
        raise Unavailable(
            "the store has forgotten the revision that was being read; try again"
        ) from error
    finally:
        await store.close()
    return {
        "exact": all(one.exact for one in quotas),
        "tenants": [
            {
                "tenant": one.tenant,
                "counted": one.counted,
                "standing": one.standing,
                "bound": one.bound or None,
                "revision": one.revision,
                "exact": one.exact,
            }
            for one in quotas
        ],
    }
