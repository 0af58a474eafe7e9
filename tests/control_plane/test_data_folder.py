"""Data folders: those that Homeport made are taken, now and from before the marker; others are
refused and left as they are."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from console.local.stack_plan import DATA_FOLDER as STACK
from control_plane.data_folder import MARKER, DataFolder, is_marked
from control_plane.errors import Refused
from data_sharing.platforms.wiring import DATA_FOLDER as PLATFORM
from data_sharing.wiring.server import DATA_FOLDER as SHARING
from deployment_units.services.state.folder import DATA_FOLDER as STATE

ANY = DataFolder(flag="--here", parts=("mine*",))
KINDS = {"up": STACK, "share": SHARING, "platform": PLATFORM, "state": STATE}
SOMEBODY = 12345


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def modes_of(folder: Path) -> dict[str, int]:
    return {str(one.relative_to(folder)): mode_of(one) for one in [folder, *folder.rglob("*")]}


def database(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = sqlite3.connect(path)
    made.execute("CREATE TABLE t (x)")
    made.close()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("made", ["absent", "empty", "a volume's root"])
def test_a_new_folder_is_made_ours(tmp_path: Path, kind: DataFolder, made: str) -> None:
    folder = tmp_path / "data"
    if made != "absent":
        folder.mkdir(mode=0o755)
    if made == "a volume's root":
        (folder / "lost+found").mkdir(mode=0o755)
    kind.take(folder)
    assert is_marked(folder)
    assert (mode_of(folder), mode_of(folder / MARKER)) == (0o700, 0o600)
    (folder / "anything").write_text("x")
    kind.take(folder)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    "holds",
    [
        "notes.txt", ".ssh/id_ed25519", "src/main.py", "store.db", "sharing.db", "journal",
        "journal/0001", "etcd/data", "a/sharing.db", ".incoming", "lost+found/x up.lock/x",
    ],
)  # fmt: skip
def test_a_folder_of_others_is_refused_and_left_as_it_is(
    tmp_path: Path, kind: DataFolder, holds: str
) -> None:
    folder = tmp_path / "data"
    for name in holds.split():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("no database")
    for one in [folder, *folder.rglob("*")]:
        one.chmod(0o755)
    before = modes_of(folder)
    with pytest.raises(Refused) as refused:
        kind.take(folder)
    assert modes_of(folder) == before
    said = refused.value.message
    assert str(folder) in said
    assert f"name a new or empty folder with {kind.flag}" in said
    assert f"touch {folder / MARKER}" in said


def test_what_the_refusal_says_to_do_helps(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"file-{number}\n").write_text("x")
    with pytest.raises(Refused, match=r"it has .* and 2 more; name") as refused:
        ANY.take(tmp_path)
    assert "\n" not in refused.value.message
    (tmp_path / MARKER).touch()
    ANY.take(tmp_path)
    assert mode_of(tmp_path / "file-0\n") == 0o644


@pytest.mark.parametrize(
    ("kind", "files", "databases"),
    [
        (STACK, ["up.lock", "run/up.json", "logs/server.log"], ["store.db"]),
        (STACK, [], ["store.db"]),
        (STACK, ["up.lock", "etcd/data/member", "etcd-password"], []),
        (STACK, [], ["sharing/sharing.db"]),
        (SHARING, ["signing.key"], ["sharing.db"]),
        (PLATFORM, ["artifacts/x"], ["journal"]),
        (STATE, [".incoming/1", "city/abc"], []),
    ],
)
def test_one_of_before_the_marker_is_known_by_what_it_keeps(
    tmp_path: Path, kind: DataFolder, files: list[str], databases: list[str]
) -> None:
    folder = tmp_path / "data"
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    for name in databases:
        database(folder / name)
    (folder / "notes").write_text("x")
    for one in [folder, *folder.rglob("*")]:
        one.chmod(0o755)
    kind.take(folder)
    assert is_marked(folder)
    assert mode_of(folder) == 0o700
    assert mode_of(folder / "notes") == 0o755
    own = [name for name in [*files, *databases] if not name.startswith("sharing/")]
    assert {mode_of(folder / name) & 0o077 for name in own} <= {0}


def test_folders_of_other_programs_may_lie_in_that_of_a_stack(tmp_path: Path) -> None:
    """As with the defaults of `homeport share` and `homeport up`, in either order."""
    SHARING.take(tmp_path / "data/sharing")
    PLATFORM.take(tmp_path / "data/platform-1")
    STACK.take(tmp_path / "data")
    assert is_marked(tmp_path / "data")
    SHARING.take(tmp_path / "data/sharing")


def test_a_marker_has_to_be_a_file_of_ours(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("x")
    (tmp_path / MARKER).symlink_to("/etc/passwd")
    with pytest.raises(Refused, match="not made by Homeport"):
        ANY.take(tmp_path)
    (tmp_path / MARKER).unlink()
    (tmp_path / MARKER).mkdir()
    with pytest.raises(Refused, match="not made by Homeport"):
        ANY.take(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_somebody_else_put_there_is_left_and_their_marker_is_none(tmp_path: Path) -> None:
    (tmp_path / MARKER).touch()
    os.chown(tmp_path / MARKER, SOMEBODY, SOMEBODY)
    with pytest.raises(Refused, match="not made by Homeport"):
        ANY.take(tmp_path)
    (tmp_path / MARKER).unlink()
    (tmp_path / MARKER).touch()
    for name in ("theirs", "mine"):
        (tmp_path / name).write_text("x")
        os.chown(tmp_path / name, SOMEBODY, SOMEBODY)
    tmp_path.chmod(0o755)
    with pytest.raises(Refused, match=f"belongs to user {SOMEBODY} and not to 0"):
        ANY.take(tmp_path)
    os.chown(tmp_path / "mine", 0, 0)
    tmp_path.chmod(0o755)
    ANY.take(tmp_path)
    assert mode_of(tmp_path / "theirs") == 0o644


def test_a_folder_by_another_name_is_meant_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "name").symlink_to(tmp_path / "real")
    ANY.take(tmp_path / "name")
    assert mode_of(tmp_path / "real") == 0o700


@pytest.mark.parametrize("mode", [0o1777, 0o1700])
def test_a_place_of_many_is_refused_and_left_alone(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(Refused, match="shared with others; name a folder of its own below it"):
        ANY.take(tmp_path)
    assert mode_of(tmp_path) == mode
    assert not is_marked(tmp_path)
    tmp_path.chmod(0o700)


def test_the_root_of_all_is_refused() -> None:
    before = mode_of(Path("/"))
    with pytest.raises(Refused, match="shared"):
        ANY.take(Path("/"))
    assert mode_of(Path("/")) == before
