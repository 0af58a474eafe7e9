"""Edits of a tokens file: what is there stays, and no edit makes a file that no server takes."""

from __future__ import annotations

import os
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from control_plane.auth.credentials import is_issued_token
from control_plane.auth.roles import Role
from control_plane.auth.token_editor import NewToken, TokenEditor
from control_plane.auth.tokens import Tokens, digest_of
from control_plane.errors import AlreadyExists, InvalidInput, NotFound

NOW = 1_800_000_000.0


class Editing:
    def __init__(self, path: Path) -> None:
        self.path, self.now = path, NOW
        self.editor = TokenEditor(
            path, now=lambda: self.now, random=lambda: secrets.token_bytes(32)
        )

    def issue(self, name: str, *roles: str, **more) -> str:
        return self.editor.issue(NewToken(name=name, roles=roles or ("viewer",), **more)).token

    def served(self) -> Tokens:
        """As a server reads it."""
        return Tokens.read(self.path)

    def names(self) -> list[str]:
        return [one.name for one in self.editor.entries()]


@pytest.fixture
def editing(tmp_path) -> Editing:
    return Editing(tmp_path / "new" / "tokens.toml")


def test_an_issued_token_is_known_to_servers_and_not_in_the_file(editing):
    token = editing.issue(
        "p", "platform", "producer", tenant="city", platform="p-1", application="lamp", ttl_s=60
    )
    entry = editing.served().find(token)
    assert is_issued_token(token)
    assert (entry.caller.tenant, entry.caller.platform) == ("city", "p-1")
    assert entry.caller.roles == {Role.ANYONE, Role.PLATFORM, Role.PRODUCER}
    assert entry.expires_at == NOW + 60
    assert token not in editing.path.read_text()
    (listed,) = editing.editor.entries()
    assert listed.id == f"t-{digest_of(token)[:12]}"
    assert (listed.issued_at, listed.expires_at, listed.expired) == (NOW, NOW + 60, False)
    assert listed.bound == {"tenant": "city", "platform": "p-1", "application": "lamp"}


def test_files_are_for_their_owner_alone(editing):
    before = os.umask(0)
    try:
        editing.issue("a")
        editing.path.chmod(0o644)
        editing.issue("b")
    finally:
        os.umask(before)
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in editing.path.parent.iterdir()}
    assert modes == {"tokens.toml": 0o600, ".tokens.toml.lock": 0o600}


OLD = """\
# Who may call. Ask ops before you change this.

[[token]]
name = "edge"     # in front of everything
sha256 = "{digest}"
rights = ["speak-for-others"]

# The last one.
[[token]]
sha256 = "{other}"
name = "spare"
roles = []
"""


def test_comments_and_order_stay(editing):
    editing.path.parent.mkdir()
    editing.path.write_text(OLD.format(digest=digest_of("x"), other=digest_of("y")))
    editing.issue("new")
    text = editing.path.read_text()
    assert text.startswith(OLD.format(digest=digest_of("x"), other=digest_of("y")))
    assert editing.names() == ["edge", "spare", "new"]
    editing.editor.revoke("new")
    assert "in front of everything" in editing.path.read_text()
    assert editing.served().find("x").caller.name == "edge"


def test_tokens_in_one_line_can_be_edited(editing):
    editing.path.parent.mkdir()
    entry = f'{{name="a", sha256="{digest_of("x")}", roles=["viewer"]}}'
    editing.path.write_text(f"token = [{entry}]\n")
    token = editing.issue("b")
    assert editing.names() == ["a", "b"]
    editing.editor.revoke("a")
    assert editing.served().find("x") is None
    assert editing.served().find(token)


def test_a_rotated_token_counts_until_the_overlap_is_over(editing):
    old = editing.issue("edge", "gateway", tenant="city", ttl_s=86_400)
    editing.now += 3_600
    new = editing.editor.rotate("edge", overlap_s=600).token
    tokens = editing.served()
    assert tokens.find(old).expires_at == editing.now + 600
    assert tokens.find(new).expires_at == editing.now + 86_400, "it lasts as long as the old one"
    assert tokens.find(new).caller == tokens.find(old).caller
    assert [one.expired for one in editing.editor.entries()] == [False, False]
    editing.now += 600
    assert [one.expired for one in editing.editor.entries()] == [True, False]
    editing.editor.rotate("edge", overlap_s=0, ttl_s=5)
    assert len(editing.names()) == 2, "what is over does not gather"
    assert editing.served().find(new).expires_at == editing.now


def test_a_rotation_never_prolongs(editing):
    old = editing.issue("edge", ttl_s=60)
    editing.editor.rotate("edge", overlap_s=3_600)
    assert editing.served().find(old).expires_at == NOW + 60


def test_what_never_expires_goes_on_so(editing):
    editing.issue("edge")
    new = editing.editor.rotate("edge", overlap_s=1).token
    assert editing.served().find(new).expires_at is None


def test_a_revoked_token_is_gone_by_name_or_by_id(editing):
    first = editing.issue("a")
    second = editing.editor.rotate("a", overlap_s=60).token
    assert [one.name for one in editing.editor.revoke(f"t-{digest_of(first)[:12]}")] == ["a"]
    assert editing.served().find(first) is None
    assert editing.served().find(second)
    editing.editor.revoke("a")
    assert len(editing.served()) == 0


def test_names(editing):
    editing.issue("a", ttl_s=60)
    with pytest.raises(AlreadyExists, match="rotate it"):
        editing.issue("a")
    editing.now += 60
    editing.issue("a")
    for name in ("", " ", "x" * 129, "a\nb", "\x1b"):
        with pytest.raises(InvalidInput, match="a name is"):
            editing.issue(name)


@pytest.mark.parametrize(
    ("roles", "more", "said"),
    [
        (("fly",), {}, "none of the roles"),
        (("anyone",), {}, "none of the roles"),
        (("unit",), {}, "names no unit"),
        (("unit",), {"units": ["A b"]}, "valid name"),
        (("platform",), {"tenant": "city"}, "does not say which"),
        (("viewer",), {"application": "lamp"}, "needs its tenant"),
        (("viewer",), {"tenant": "A b"}, "valid name"),
        (("viewer",), {"ttl_s": 0.0}, "ttl is"),
        (("viewer",), {"ttl_s": float("nan")}, "ttl is"),
        (("viewer",), {"ttl_s": 1e12}, "ttl is"),
    ],
)
def test_what_no_server_would_take_is_not_written(editing, roles, more, said):
    editing.issue("a")
    before = editing.path.read_bytes()
    with pytest.raises(InvalidInput, match=said):
        editing.issue("b", *roles, **more)
    assert editing.path.read_bytes() == before


def test_a_faulty_file_is_not_edited(editing):
    editing.path.parent.mkdir()
    editing.path.write_text("nonsense")
    for edit in (
        lambda: editing.issue("a"), lambda: editing.editor.revoke("a"), editing.editor.entries,
        lambda: editing.editor.rotate("a", overlap_s=1),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match="cannot be read"):
            edit()
    assert editing.path.read_text() == "nonsense"


def test_what_is_not_there(editing):
    with pytest.raises(InvalidInput, match="is not there"):
        editing.editor.entries()
    editing.issue("a", ttl_s=1)
    editing.now += 1
    for edit in (
        lambda: editing.editor.revoke("b"), lambda: editing.editor.rotate("b", overlap_s=1),
        lambda: editing.editor.rotate("a", overlap_s=1),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            edit()


def test_edits_at_once_lose_nothing(editing):
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda number: editing.issue(f"n-{number}"), range(24)))
    served = editing.served()
    assert all(served.find(token) for token in tokens)


def test_a_link_stays_one(editing, tmp_path):
    editing.issue("a")
    link = tmp_path / "link.toml"
    link.symlink_to(editing.path)
    Editing(link).issue("b")
    assert link.is_symlink()
    assert editing.names() == ["a", "b"]
