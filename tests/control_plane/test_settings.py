"""Where a setting comes from, for every service alike."""

import tomllib
from pathlib import Path
from typing import Literal

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from control_plane.settings import ServiceSettings, read


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="HOMEPORT_TRIAL_", cli_prog_name="trial")

    port_number: int = 1


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("HOMEPORT_TRIAL_PORT_NUMBER", raising=False)
    monkeypatch.delenv("HOMEPORT_TRIAL_CONFIG", raising=False)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "trial.toml"
    path.write_text("port_number = 2\n")
    return path


def test_without_anything_the_default_counts():
    assert read(Settings, []).port_number == 1


def test_a_file_counts_more_than_the_default(file):
    assert read(Settings, [f"--config={file}"]).port_number == 2
    assert read(Settings, ["--config", str(file)]).port_number == 2


def test_the_environment_counts_more_than_the_file_which_it_may_name(file, monkeypatch):
    monkeypatch.setenv("HOMEPORT_TRIAL_CONFIG", str(file))
    assert read(Settings, []).port_number == 2
    monkeypatch.setenv("HOMEPORT_TRIAL_PORT_NUMBER", "3")
    assert read(Settings, []).port_number == 3


def test_a_flag_counts_most(file, monkeypatch):
    monkeypatch.setenv("HOMEPORT_TRIAL_PORT_NUMBER", "3")
    assert read(Settings, ["--port-number", "4", "--config", str(file)]).port_number == 4


def test_one_reading_leaves_no_file_to_the_next(file):
    read(Settings, [f"--config={file}"])
    assert read(Settings, []).port_number == 1


def test_an_unknown_key_of_the_file_fails_and_is_named(file):
    file.write_text("port_nummer = 2\n")
    with pytest.raises(ValidationError, match="port_nummer"):
        read(Settings, [f"--config={file}"])


def test_an_unknown_flag_ends_the_program(capsys):
    with pytest.raises(SystemExit):
        read(Settings, ["--nonsense", "1"])
    assert "--nonsense" in capsys.readouterr().err


def test_a_file_that_is_not_there_or_no_toml_fails(file):
    with pytest.raises(FileNotFoundError, match="there is no settings file"):
        read(Settings, ["--config", "/nonexistent.toml"])
    file.write_text("port_number = = 2\n")
    with pytest.raises(tomllib.TOMLDecodeError):
        read(Settings, [f"--config={file}"])


def test_help_has_no_names_of_pythons(capsys):
    class Kinds(Settings):
        folder: Path | None = None
        names: list[str] = []  # noqa: RUF012 - pydantic copies it
        limits: dict[str, dict[str, float]] = {}  # noqa: RUF012 - the same
        ratio: float = 0.5
        word: Literal["a", "b"] | None = None

    with pytest.raises(SystemExit):
        read(Kinds, ["--help"])
    said = capsys.readouterr().out
    for python in ("None", "Path", "dict", "list[", "str", "float", "default: )", "[]"):
        assert python not in said
    for shown in ("--folder FILE", "--names TEXT,TEXT", "--limits JSON", "--ratio NUMBER",
                  "--word {a,b}", "(default: 0.5)"):  # fmt: skip
        assert shown in said
