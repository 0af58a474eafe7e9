"""`--check-config` of any service: what is in force, where from, and everything that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from control_plane.config_check import HIDDEN, Fault, asked_for, check_config, hide_credentials
from control_plane.errors import InvalidInput
from control_plane.settings import ServiceSettings, said_by
from tests.support.unwritable_paths import FILES, FOLDERS, unwritable


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="HOMEPORT_TRIAL_", cli_prog_name="trial")
    secrets: ClassVar[tuple[str, ...]] = ("password",)

    rate: Annotated[float, Field(ge=1, description="how fast")] = 1.0
    workers: Annotated[int, Field(ge=1, description="how many")] = 1
    names: Annotated[list[str], Field(description="who")] = []  # noqa: RUF012
    limits: Annotated[dict[str, float], Field(description="how much")] = {}  # noqa: RUF012
    store: Annotated[str, Field(description="where")] = "here"
    password: Annotated[str, Field(description="secret")] = ""
    password_file: Annotated[Path | None, Field(description="its file")] = None
    ready_file: Annotated[Path | None, Field(description="written once ready")] = None
    data_dir: Annotated[Path | None, Field(description="where it keeps things")] = None

    def written_folders(self) -> Iterator[tuple[str, Path | None]]:
        yield "data_dir", self.data_dir

    def misfits(self) -> Iterator[str]:
        yield from super().misfits()
        yield from said_by(self._check_speed, self._check_names)

    def _check_speed(self) -> None:
        if self.rate > 10 and self.workers == 1:
            raise ValueError("so fast needs workers")

    def _check_names(self) -> None:
        if "nobody" in self.names:
            raise ValueError("nobody is nobody")


def no_checks(settings: Settings) -> list[Callable[[], object]]:
    return []


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"HOMEPORT_TRIAL_{name.upper()}", raising=False)


def test_every_setting_has_its_value_and_where_it_comes_from(tmp_path, monkeypatch) -> None:
    file = tmp_path / "trial.toml"
    file.write_text("rate = 2\nworkers = 5\nlimits = {a = 1, b = 2}\n")
    monkeypatch.setenv("HOMEPORT_TRIAL_WORKERS", "3")
    monkeypatch.setenv("HOMEPORT_TRIAL_LIMITS", '{"b": 3}')
    report = check_config(Settings, [f"--config={file}", "--names", "x"], no_checks)
    assert report.faults == []
    assert {one.name: (one.value, one.origin.value, one.where) for one in report.settings} == {
        "rate": (2.0, "file", str(file)),
        "workers": (3, "environment", "HOMEPORT_TRIAL_WORKERS"),
        "names": (["x"], "flag", "--names"),
        "limits": ({"a": 1.0, "b": 3.0}, "environment", "HOMEPORT_TRIAL_LIMITS"),
        "store": ("here", "default", None),
        "password": ("", "default", None),
        "password_file": (None, "default", None),
        "ready_file": (None, "default", None),
        "data_dir": (None, "default", None),
    }


def test_secrets_are_never_shown(tmp_path, monkeypatch) -> None:
    file = tmp_path / "password"
    file.write_text("hunter22\n")
    file.chmod(0o440)
    for arguments, environment in (
        ([f"--password-file={file}"], None),
        (["--password", "hunter22"], None),
        (["--store", "etcd://root:hunter22@a:1,b:2"], None),
        ([], "hunter22"),
    ):
        if environment:
            monkeypatch.setenv("HOMEPORT_TRIAL_PASSWORD", environment)
        report = check_config(Settings, arguments, no_checks)
        for shown in (report.as_json(), report.as_table()):
            assert "hunter22" not in shown
    assert HIDDEN in report.as_table()


def test_everything_that_is_wrong_is_said_at_once(tmp_path) -> None:
    def checks(settings: Settings) -> list[Callable[[], object]]:
        def refuse() -> None:
            raise InvalidInput("store", "no such store")

        def unreadable() -> None:
            Path(tmp_path / "gone").read_bytes()

        return [refuse, lambda: None, unreadable]

    arguments = ["--workers=0", "--rate=11", "--names=nobody", "--password-file=/gone"]
    report = check_config(Settings, arguments, checks)
    assert [(one.setting, one.message.partition(":")[0]) for one in report.faults] == [
        ("workers", "Input should be greater than or equal to 1"),
        ("password_file", "password_file"),
        ("settings", "so fast needs workers"),
        ("settings", "nobody is nobody"),
        ("store", "no such store"),
        ("settings", str(tmp_path / "gone")),
    ]
    assert {one.name: one.value for one in report.settings}["workers"] == "0"


@pytest.mark.parametrize(
    ("content", "arguments", "setting"),
    [
        pytest.param("rate = = 1", [], "config", id="no-toml"),
        pytest.param("ratte = 1", [], "ratte", id="an-unknown-key"),
        pytest.param("rate = 0.1", [], "rate", id="out-of-range"),
        pytest.param("", ["--limits", "{"], "settings", id="no-json"),
    ],
)
def test_a_faulty_source_is_a_fault(tmp_path, content: str, arguments: list[str], setting) -> None:
    file = tmp_path / "trial.toml"
    file.write_text(content)
    report = check_config(Settings, [f"--config={file}", *arguments], no_checks)
    assert [one.setting for one in report.faults] == [setting]
    assert json.loads(report.as_json())["valid"] is False


def test_a_settings_file_that_is_not_there_is_the_fault() -> None:
    report = check_config(Settings, ["--config=/gone.toml"], no_checks)
    assert report.faults == [
        Fault(setting="config", message="there is no settings file /gone.toml")
    ]


def test_what_a_check_does_not_say_in_so_many_words_goes_on_upwards() -> None:
    def broken() -> None:
        raise RuntimeError("a fault of the program")

    with pytest.raises(RuntimeError):
        check_config(Settings, [], lambda settings: [broken])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["--rate=2"], None, id="not-asked-for"),
        pytest.param(["--check-config", "--rate=2"], (["--rate=2"], "table"), id="a-table"),
        pytest.param(["--check-config", "-o", "json"], ([], "json"), id="json"),
        pytest.param(["--output=json", "--check-config"], ([], "json"), id="json-before"),
    ],
)
def test_how_it_is_asked_for(arguments, expected) -> None:
    assert asked_for(arguments) == expected


@pytest.mark.parametrize("arguments", [["--check-config", "-o", "xml"], ["-o", "json"]])
def test_a_format_that_there_is_not_or_of_nothing_is_refused(arguments) -> None:
    with pytest.raises(InvalidInput):
        asked_for(arguments)


def test_credentials_of_urls_are_hidden() -> None:
    assert hide_credentials("x=etcd://a:p@h:1;y=etcd://h:2") == "x=etcd://…@h:1;y=etcd://h:2"
    assert hide_credentials("no@url") == "no@url"


UNSEEN = "where-the-kernel-lets-nobody"  # shows only where a folder is made


@pytest.mark.parametrize(
    ("setting", "kind"),
    [("ready-file", kind) for kind in FILES if kind != UNSEEN]
    + [("data-dir", kind) for kind in FOLDERS if kind != UNSEEN],
)
def test_a_path_that_a_start_cannot_write_to_is_a_fault(tmp_path, setting, kind) -> None:
    path = unwritable(tmp_path, kind)
    (fault,) = check_config(Settings, [f"--{setting}={path}"], no_checks).faults
    assert fault.setting == setting.replace("-", "_")
    assert str(path) in fault.message


def test_a_path_that_a_start_would_make_is_fine_and_not_made(tmp_path) -> None:
    file, folder = tmp_path / "run" / "ready.json", tmp_path / "lib" / "homeport"
    words = [f"--ready-file={file}", f"--data-dir={folder}"]
    assert check_config(Settings, words, no_checks).faults == []
    assert list(tmp_path.iterdir()) == []
