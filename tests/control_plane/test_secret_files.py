"""Secrets in files, and the warning of those that stand in arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from control_plane.errors import InvalidInput
from control_plane.secret_files import MOST_BYTES, read_secret
from data_sharing.platforms.settings import read_settings as platform_settings
from data_sharing.settings import read_settings as sharing_settings
from deployment_units.agent.settings import read_settings as agent_settings
from provisioner.settings import read_settings as server_settings
from provisioner.wiring.workers import worker_arguments, worker_environment


def written(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", [b"hush", b"hush\n", b"hush\r\n"])
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_the_one_line_is_the_secret(tmp_path: Path, content: bytes, mode: int) -> None:
    assert read_secret("token_file", written(tmp_path, content, mode)) == "hush"


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        pytest.param(b"", 0o600, "as one line", id="empty"),
        pytest.param(b"\n", 0o600, "as one line", id="an-empty-line"),
        pytest.param(b"a\nb\n", 0o600, "as one line", id="two-lines"),
        pytest.param(b"a\0b", 0o600, "as one line", id="a-control-character"),
        pytest.param(b"\xff\xfe", 0o600, "as one line", id="no-text"),
        pytest.param(b"a" * (MOST_BYTES + 1), 0o600, "as one line", id="too-long"),
        pytest.param(b"hush", 0o644, "chmod 600", id="for-all-to-read"),
        pytest.param(b"hush", 0o602, "chmod 600", id="for-all-to-write"),
    ],
)
def test_anything_else_is_refused_by_name(
    tmp_path: Path, content: bytes, mode: int, said: str
) -> None:
    path = written(tmp_path, content, mode)
    with pytest.raises(InvalidInput, match=said) as caught:
        read_secret("token_file", path)
    assert caught.value.message.startswith(f"token_file: {path} ")
    assert "hush" not in caught.value.message


@pytest.mark.parametrize("what", ["absent", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, what: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_secret("token_file", tmp_path / what)


Reader = Callable[[Sequence[str]], Any]
PROGRAMS = [
    pytest.param(agent_settings, ["--unit=u"], "token", "HOMEPORT_AGENT_TOKEN", id="agent"),
    pytest.param(platform_settings, ["--name=a", "--applications=b", "--data-dir=c"], "token",
                 "HOMEPORT_PLATFORM_TOKEN", id="platform"),
    pytest.param(server_settings, [], "store_password", "HOMEPORT_STORE_PASSWORD", id="server"),
    pytest.param(
        sharing_settings, [], "store_password", "HOMEPORT_SHARING_STORE_PASSWORD", id="sharing"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("read", "required", "name", "variable"), PROGRAMS)
def test_each_program_takes_a_file_and_warns_of_arguments_alone(
    tmp_path: Path, read: Reader, required: list[str], name: str, variable: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    option, file = f"--{name.replace('_', '-')}", written(tmp_path, b"of-file\n")
    assert getattr(read([*required, f"{option}-file={file}"]), name) == "of-file"
    monkeypatch.setenv(variable, "of-environment")
    assert getattr(read(required), name) == "of-environment"
    assert capsys.readouterr().err == ""
    assert getattr(read([*required, f"{option}-file={file}"]), name) == "of-file", "a flag wins"
    with pytest.raises(InvalidInput, match="are both given"):
        read([*required, f"{option}-file={file}", f"{option}=argument"])
    capsys.readouterr()
    monkeypatch.setenv(f"{variable}_FILE", str(file))
    with pytest.raises(InvalidInput, match="are both given"):
        read(required)
    monkeypatch.delenv(f"{variable}_FILE")
    for words in ([option, "argument"], [f"{option}=argument"]):
        assert getattr(read([*required, *words]), name) == "argument"
        said = capsys.readouterr().err
        assert said.count("warning:") == 1
        assert f"{variable} or by {option}-file FILE" in said
        assert "argument" not in said


def test_workers_get_a_password_where_nobody_can_list_it(tmp_path: Path) -> None:
    file = written(tmp_path, b"hush\n")
    in_file = server_settings([f"--store-password-file={file}"])
    words = worker_arguments(in_file, 0, {"listen": 7700}, tmp_path / "ready")
    assert f"--store-password-file={file}" in words
    assert not [word for word in words if "hush" in word]
    assert "HOMEPORT_STORE_PASSWORD" not in worker_environment(in_file)
    given = server_settings(["--store-password=hush"])
    assert not [
        word for word in worker_arguments(given, 0, {"listen": 1}, tmp_path / "r") if "hush" in word
    ]
    assert worker_environment(given)["HOMEPORT_STORE_PASSWORD"] == "hush"
