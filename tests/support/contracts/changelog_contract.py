"""What every changelog must do. Subclass it with a fixture `changelog` that is empty; see
data_sharing.replication.port."""

from __future__ import annotations

import pytest

from control_plane.errors import HistoryGone, NotFound
from data_sharing.replication.commit import TableChange, encode
from data_sharing.replication.port import NotLast


def change(*rows: tuple, gone: tuple = ()) -> TableChange:
    """Of a table of two columns."""
    return TableChange("notes", ("id", "text"), ("id",), [*rows], [*gone])


def messages_of(changelog, name: str, *changes: TableChange, owner: str = "w1") -> list[bytes]:
    """Of a commit called `name`."""
    return encode(
        changes, owner=owner, id=name, layout=7, piece_bytes=changelog.piece_bytes, snapshot="s1"
    )


async def read_all(changelog, after: int = 0) -> list:
    return [one async for one in changelog.read(after)]


class ChangeLogContract:
    """The suite."""

    async def test_commits_are_read_in_order_as_they_were_written(self, changelog):
        small = change((1, "a"), (2, None), gone=((3,),))
        large = change(*((n, "x" * 100) for n in range(50)))
        assert await changelog.last() is None
        assert await read_all(changelog) == []
        first = await changelog.append(messages_of(changelog, "c1", small), after=0)
        second = await changelog.append(messages_of(changelog, "c2", large, small), after=first)
        assert 0 < first < second
        found = await read_all(changelog)
        assert [(one.sequence, one.head.id) for one in found] == [(first, "c1"), (second, "c2")]
        assert [one.changes for one in found] == [[small], [large, small]]
        assert [one.head.id for one in await read_all(changelog, first)] == ["c2"]
        assert await read_all(changelog, second) == []
        last = await changelog.last()
        assert (last.sequence, last.head.id, last.head.owner) == (second, "c2", "w1")
        assert (last.head.layout, last.head.snapshot) == (7, "s1")

    async def test_a_commit_of_many_messages_is_there_whole(self, changelog):
        rows = [(n, "x" * changelog.piece_bytes) for n in range(12)]
        messages = messages_of(changelog, "c1", change(*rows))
        assert len(messages) > 12
        await changelog.append(messages, after=0)
        (found,) = await read_all(changelog)
        assert found.changes[0].rows == rows

    async def test_who_does_not_know_the_last_commit_writes_nothing(self, changelog):
        """This is what fences a worker that another one has replaced."""
        first = await changelog.append(messages_of(changelog, "c1", change((1, "a"))), after=0)
        second = await changelog.append(
            messages_of(changelog, "c2", change((1, "b")), owner="w2"), after=first
        )
        late = change(*((n, "x" * 100) for n in range(50)))  # one message, and several
        for changes in ([change((1, "late"))], [late]):
            for after in (0, first, second + 1, second + 100):
                with pytest.raises(NotLast):
                    await changelog.append(messages_of(changelog, "c3", *changes), after=after)
        assert [one.head.id for one in await read_all(changelog)] == ["c1", "c2"]
        third = messages_of(changelog, "c3", late)
        assert await changelog.append(third, after=second) > second

    async def test_a_repeat_is_refused_and_the_last_commit_says_why(self, changelog):
        """An append whose answer was lost is repeated behind the same commit."""
        messages = messages_of(changelog, "c1", *[change((1, "x" * 300))] * 3)
        sequence = await changelog.append(messages, after=0)
        with pytest.raises(NotLast):
            await changelog.append(messages, after=0)
        last = await changelog.last()
        assert (last.sequence, last.head.id) == (sequence, "c1")
        assert len(await read_all(changelog)) == 1

    async def test_what_is_trimmed_is_gone_and_the_last_commit_never_is(self, changelog):
        sequences = [0]
        for number in range(4):
            messages = messages_of(changelog, f"c{number}", change((number, "x" * 250)))
            sequences.append(await changelog.append(messages, after=sequences[-1]))
        await changelog.trim(sequences[3])
        with pytest.raises(HistoryGone):
            await read_all(changelog, 0)
        with pytest.raises(HistoryGone):
            await read_all(changelog, sequences[1])
        assert [one.head.id for one in await read_all(changelog, sequences[2])] == ["c2", "c3"]
        await changelog.trim(sequences[-1] + 1)
        assert [one.head.id for one in await read_all(changelog, sequences[3])] == ["c3"]
        assert (await changelog.last()).head.id == "c3"
        with pytest.raises(NotLast):
            await changelog.append(messages_of(changelog, "c9", change((1, "a"))), after=0)
        await changelog.append(messages_of(changelog, "c4", change()), after=sequences[-1])

    async def test_it_says_what_it_keeps(self, changelog):
        assert await changelog.extent() == (1, 1)
        first = await changelog.append(messages_of(changelog, "c1", change((1, "a"))), after=0)
        assert await changelog.extent() == (1, first + 1)
        second = await changelog.append(messages_of(changelog, "c2", change()), after=first)
        await changelog.trim(second)
        assert await changelog.extent() == (second, second + 1)

    async def test_snapshots_are_kept_until_they_are_removed(self, changelog, tmp_path):
        file, back = tmp_path / "file", tmp_path / "back"
        for name in ("s1", "s2"):
            file.write_bytes(name.encode() * 200_000)
            await changelog.put_snapshot(name, file)
        await changelog.get_snapshot("s1", back)
        assert back.read_bytes() == b"s1" * 200_000
        await changelog.remove_snapshots("s2")
        with pytest.raises(NotFound):
            await changelog.get_snapshot("s1", back)
        await changelog.get_snapshot("s2", back)
        assert back.read_bytes() == b"s2" * 200_000
