"""ChangeLog: where the commits of one partition are kept, in order, for whoever has it next.

A commit is written whole or not at all, and only directly after the commit that its writer knows
to be the last one. So a worker that another one has replaced writes nothing, whenever it wakes. The
suite in tests/support/contracts says all of it in code.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from control_plane.errors import Conflict
from data_sharing.replication.commit import Commit, CommitHead


class NotLast(Conflict):
    """Another commit came in between, or this one was written before; nothing was written now.
    Read the last one."""

    reason = "NOT_LAST"


class LastCommit(NamedTuple):
    """The end of a changelog."""

    sequence: int
    head: CommitHead


class Extent(NamedTuple):
    """Which messages a changelog keeps. first == next: none."""

    first: int  # sequence of the oldest one
    next: int  # what the next one has at least; 1: nothing was ever written


class ChangeLog(Protocol):
    """Of one partition. Errors of all: StoreUnavailable; of `append` also OutcomeUnknown, after
    which the same append may be repeated: what was written makes the repeat NotLast."""

    @property
    def identity(self) -> str:
        """What tells this changelog from any other, also from one of the same name."""
        ...

    @property
    def piece_bytes(self) -> int:
        """Of a commit's body in one message, at most."""
        ...

    async def append(self, messages: Sequence[bytes], *, after: int) -> int:
        """Writes the messages of a commit (commit.encode) behind the commit at `after` (0: as the
        first one); the sequence that it has now, once it is durable. Raises NotLast."""
        ...

    async def last(self) -> LastCommit | None:
        """The commit written last; None: there is none."""
        ...

    async def extent(self) -> Extent:
        """What is kept now. Commits that were forgotten by somebody else show in it as well."""
        ...

    def read(self, after: int) -> AsyncIterator[Commit]:
        """Commits behind a sequence, in order, as far as there are any now. Raises HistoryGone
        where some of them are not kept any more."""
        ...

    async def trim(self, before: int) -> None:
        """Forgets commits below a sequence, but never the last one."""
        ...

    async def put_snapshot(self, name: str, file: Path) -> None:
        """Keeps the content of a file. Durable once it returns."""
        ...

    async def get_snapshot(self, name: str, file: Path) -> None:
        """Writes it into a file. Raises NotFound; DataLoss where it is not what was put."""
        ...

    async def remove_snapshots(self, keep: str) -> None:
        """Forgets all snapshots but this one."""
        ...
