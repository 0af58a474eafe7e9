"""Settings of an agent: where they come from, which wins, and which do not fit together."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from deployment_units.agent.mail_settings import mail_domains, role_handles
from deployment_units.agent.settings import read_settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text('unit = "from-file"\nserver = "file:1"\ntoken = "of-file"\nttl_s = 20\n')
    return path


def test_flags_win_over_environment_over_file_over_default(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMEPORT_AGENT_SERVER", "environment:1")
    monkeypatch.setenv("HOMEPORT_AGENT_TOKEN", "of-environment")
    settings = read_settings(["--config", str(config), "--token", "of-flag"])
    assert settings.token == "of-flag"
    assert settings.server == "environment:1"
    assert (settings.unit, settings.ttl_s) == ("from-file", 20)
    assert settings.listen == "127.0.0.1:0"


def test_the_file_may_be_named_by_the_environment(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMEPORT_AGENT_CONFIG", str(config))
    assert read_settings([]).unit == "from-file"
    assert read_settings([f"--config={config}", "--unit=other"]).unit == "other"


def test_an_unknown_key_of_the_file_fails_and_is_named(config: Path) -> None:
    config.write_text('unit = "u"\nserverr = "a:1"\n')
    with pytest.raises(ValidationError, match="serverr"):
        read_settings(["--config", str(config)])


def test_an_unknown_flag_fails() -> None:
    with pytest.raises(SystemExit):
        read_settings(["--unit=u", "--serverr=a:1"])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.toml"):
        read_settings(["--config", str(tmp_path / "nowhere.toml")])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "either a fleet file", id="neither a fleet file nor a unit"),
        pytest.param(["--unit=u", "--units=f.yaml"], "either a fleet file", id="both of them"),
        pytest.param(["--unit=u", "--listen=nowhere"], "not host:port", id="nowhere to listen"),
        pytest.param(
            ["--unit=u", "--http-listen=127.0.0.1:x"], "--http-listen", id="nowhere for browsers"
        ),
        pytest.param(
            ["--unit=u", "--http-listen=127.0.0.1:0"], "--accounts", id="browsers without accounts"
        ),
        pytest.param(
            ["--unit=u", "--http-listen=0.0.0.0:7712", "--accounts", "--state-dir=s"],
            "other machines", id="browsers of others without TLS",
        ),
        pytest.param(
            ["--units=f.yaml", "--listen=127.0.0.1:7800"], "a port of its own",
            id="one port for many units",
        ),
        pytest.param(["--unit=u", "--ttl-s=1"], "greater than or equal to 2", id="too short a ttl"),
        pytest.param(["--unit=u", "--tls-key=k"], "belong together", id="a key, no certificate"),
        pytest.param(
            ["--unit=u", "--tls-client-ca=c"], "needs --tls-certificate", id="a ca, no certificate"
        ),
        pytest.param(
            ["--unit=u", "--ca=c", "--certificate=c"], "belong together", id="mtls without a key"
        ),
        pytest.param(
            ["--unit=u", "--certificate=c", "--certificate-key=k"], "needs --ca",
            id="mtls without tls",
        ),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_together(arguments: list[str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        read_settings(arguments)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", {}),
        ("@Ops", {"talk.example": "ops", "chat.example": "ops"}),
        ("talk.example=ops, Chat.Example=anna", {"talk.example": "ops", "chat.example": "anna"}),
        ("ops,chat.example=anna", {"talk.example": "ops", "chat.example": "anna"}),
    ],
)
def test_who_gets_mail_for_postmaster(said: str, found: dict[str, str]) -> None:
    domains = mail_domains("talk.example=talk,chat.example")
    assert role_handles(said, domains) == found


@pytest.mark.parametrize("said", ["ops@mail.example", "mail.example=ops", "talk.example="])
def test_a_postmaster_who_can_be_nobody_is_refused(said: str) -> None:
    arguments = ["--unit=u", "--token=t", "--accounts", "--state-dir=/tmp/x"]
    with pytest.raises(ValidationError, match="postmaster: "):
        read_settings([*arguments, "--mail-domain=talk.example", f"--postmaster={said}"])
