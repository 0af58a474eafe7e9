"""Where a setting comes from, for every service alike."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from control_plane.settings import ServiceSettings, problems_of, read, takes_empty
from data_sharing.platforms.settings import PlatformSettings
from data_sharing.settings import Settings as SharingSettings
from deployment_units.agent.settings import AgentSettings
from provisioner.settings import Settings as ServerSettings


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


class Named(Settings):
    """As services have them: with defaults that say something, and that say nothing."""

    listen: str = "127.0.0.1:1"
    also_listen: Annotated[str, Field(description="where else; empty: nowhere")] = "127.0.0.1:2"
    issuer: str = ""
    token: str = "usual"
    folder: Path | None = None
    names: list[str] = ["a"]  # noqa: RUF012 - pydantic copies it


NAMES = ("listen", "issuer", "token", "folder", "port_number")


@pytest.mark.parametrize("name", [*NAMES, "names"])
def test_an_environment_variable_that_is_empty_counts_as_not_set(file, monkeypatch, name):
    """Whatever it would have been for: then the file counts, or the default."""
    monkeypatch.setenv(f"HOMEPORT_TRIAL_{name.upper()}", "")
    assert read(Named, []) == Named()
    assert read(Named, [f"--config={file}"]).port_number == 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("given", ["flag", "flag and environment", "file"])
def test_what_is_given_and_empty_is_refused_and_named(file, monkeypatch, name, given):
    """Of a path it would be the folder that the program runs in, and of a token nobody."""
    file.write_text(f'{name} = ""\n')
    words = [f"--{name.replace('_', '-')}="] if "flag" in given else [f"--config={file}"]
    if "environment" in given:
        monkeypatch.setenv(f"HOMEPORT_TRIAL_{name.upper()}", "x" if name != "port_number" else "1")
    with pytest.raises(ValidationError) as refused:
        read(Named, words)
    assert list(problems_of(refused.value)) == [
        (name, "it is empty; give it a value, or leave it out")
    ]


def test_everything_that_is_empty_is_named_at_once(file):
    file.write_text('listen = ""\ntoken = ""\n')
    with pytest.raises(ValidationError) as refused:
        read(Named, [f"--config={file}", "--issuer="])
    assert {name for name, _ in problems_of(refused.value)} == {"listen", "token", "issuer"}


def test_where_empty_is_a_value_it_counts_wherever_it_stands(file, monkeypatch):
    assert read(Named, ["--also-listen="]).also_listen == ""
    file.write_text('also_listen = ""\n')
    assert read(Named, [f"--config={file}"]).also_listen == ""
    monkeypatch.setenv("HOMEPORT_TRIAL_ALSO_LISTEN", "")
    assert read(Named, []).also_listen == ""


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            AgentSettings,
            {
                "data_sharing",
                "http_listen",
                "mail_authserv_id",
                "mail_dns",
                "metrics_listen",
                "mail_relay",
                "postmaster",
                "push",
                "sip_address",
                "sip_emergency",
                "sip_listen",
                "sip_out",
                "sip_region",
                "smtp_listen",
                "tenants",
                "text_line",
                "web_url",
            },
        ),
        (PlatformSettings, {"metrics_listen", "otlp_endpoint"}),
        (
            ServerSettings,
            {"directory_http_listen", "http_listen", "metrics_listen", "otlp_endpoint"},
        ),
        (SharingSettings, {"http_listen", "metrics_listen", "otlp_endpoint"}),
    ],
    ids=["agent", "platform", "serve", "share"],
)
def test_of_which_settings_empty_is_a_value(kind, names):
    """No secret, no path, nothing that says who may call."""
    assert {name for name in kind.model_fields if takes_empty(kind, name)} == names
