"""A changelog in memory, of which several workers are clients, with faults to inject."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from control_plane.errors import HistoryGone, NotFound, OutcomeUnknown, StoreUnavailable
from data_sharing.replication.commit import Commit, decode, head_of
from data_sharing.replication.port import Extent, LastCommit, NotLast


class MemoryChangeLog:
    """See data_sharing.replication.port."""

    def __init__(self, *, identity: str = "memory", piece_bytes: int = 100) -> None:
        self.identity = identity
        self.piece_bytes = piece_bytes
        self.messages: list[bytes] = []
        self.first = 1  # the sequence of messages[0]
        self.commits: dict[int, int] = {}  # sequence of a commit's head, to its first message's
        self.snapshots: dict[str, bytes] = {}
        self.away = False
        self.lose_answers = 0  # of the next appends: written, and the writer does not hear of it
        self.lose_requests = 0  # not written, and the writer cannot tell

    async def append(self, messages: Sequence[bytes], *, after: int) -> int:
        if self.away:
            raise StoreUnavailable("the changelog is away")
        if self.lose_requests:
            self.lose_requests -= 1
            raise OutcomeUnknown("no answer")
        if after != max(self.commits, default=0):
            raise NotLast("another commit came in between")
        begin = self.first + len(self.messages)
        self.messages += messages
        sequence = begin + len(messages) - 1
        self.commits[sequence] = begin
        if self.lose_answers:
            self.lose_answers -= 1
            raise OutcomeUnknown("no answer")
        return sequence

    async def last(self) -> LastCommit | None:
        if self.away:
            raise StoreUnavailable("the changelog is away")
        if not self.commits:
            return None
        sequence = max(self.commits)
        return LastCommit(sequence, head_of(self._message(sequence)))

    async def extent(self) -> Extent:
        if self.away:
            raise StoreUnavailable("the changelog is away")
        return Extent(self.first, self.first + len(self.messages))

    def purge(self, *, keep_last: bool) -> None:
        """As somebody does who is no worker: also what is needed."""
        keep = self.commits[max(self.commits)] if keep_last else self.first + len(self.messages)
        self.commits = {one: begin for one, begin in self.commits.items() if begin >= keep}
        del self.messages[: keep - self.first]
        self.first = keep

    async def read(self, after: int) -> AsyncIterator[Commit]:
        if self.away:
            raise StoreUnavailable("the changelog is away")
        if after < self.first - 1:
            raise HistoryGone("too old")
        for sequence, begin in sorted(self.commits.items()):
            if sequence > after:
                pieces = [self._message(number) for number in range(begin, sequence)]
                yield decode(sequence, pieces, head_of(self._message(sequence)))

    async def trim(self, before: int) -> None:
        last = max(self.commits, default=0)
        gone = [one for one in self.commits if one < min(before, last)]
        if gone:
            for one in gone:
                del self.commits[one]
            cut = max(gone) + 1 - self.first
            del self.messages[:cut]
            self.first += cut

    async def put_snapshot(self, name: str, file: Path) -> None:
        self.snapshots[name] = file.read_bytes()  # noqa: ASYNC240

    async def get_snapshot(self, name: str, file: Path) -> None:
        if name not in self.snapshots:
            raise NotFound(f"there is no snapshot {name}")
        file.write_bytes(self.snapshots[name])  # noqa: ASYNC240

    async def remove_snapshots(self, keep: str) -> None:
        self.snapshots = {name: one for name, one in self.snapshots.items() if name == keep}

    def _message(self, sequence: int) -> bytes:
        return self.messages[sequence - self.first]
