"""`homeport` with a mistake in how shards are moved: `python -m tests.faults.broken_mover BUG
store move-shards …`. The judge must see each."""

from __future__ import annotations

import sys
from collections.abc import Callable

from console.cli.main import main
from control_plane.store.port import Store
from provisioner.shards import change_feed, map_changes


def move_without_epoch() -> None:
    """Servers with an old map go on writing at the source."""

    async def as_it_is(store: Store, version: int) -> int:
        return (await store.range(b"/homeport/v1/shards/", limit=1)).revision

    map_changes.raise_epoch = as_it_is  # type: ignore[assignment]


def skip_the_last_changes() -> None:
    """What changed since the copying began is not copied."""
    change_feed.ChangeFeed.drain = lambda self: []  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (move_without_epoch, skip_the_last_changes)
}

if __name__ == "__main__":
    BUGS[sys.argv[1]]()
    main(sys.argv[2:])
