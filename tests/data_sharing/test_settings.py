"""Settings of a data-sharing server: flags win over the environment, that over the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from data_sharing.settings import read_settings


def test_defaults_are_loopback():
    settings = read_settings([])
    assert (settings.listen, settings.http_listen, settings.metrics_listen) == (
        "127.0.0.1:7703", "127.0.0.1:7704", "127.0.0.1:7705",
    )  # fmt: skip


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path, monkeypatch):
    config = tmp_path / "sharing.toml"
    config.write_text('max_late_s = 1.0\nmax_ahead_s = 1.0\ndata_dir = "from-file"\n')
    monkeypatch.setenv("HOMEPORT_SHARING_MAX_LATE_S", "2")
    monkeypatch.setenv("HOMEPORT_SHARING_MAX_AHEAD_S", "2")
    settings = read_settings([f"--config={config}", "--max-ahead-s=3"])
    assert (settings.max_late_s, settings.max_ahead_s) == (2.0, 3.0)
    assert settings.data_dir == Path("from-file")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--listen="], id="nowhere-to-listen"),
        pytest.param(["--listen=nonsense"], id="no-port"),
        pytest.param(["--http-listen=127.0.0.1:99999"], id="no-such-port"),
        pytest.param(["--retain-bytes=5"], id="keeping-next-to-nothing"),
        pytest.param(["--tls-key=x"], id="a-key-without-certificate"),
        pytest.param(["--tls-client-ca=x"], id="a-ca-without-certificate"),
        pytest.param(["--log-level=loud"], id="an-unknown-level"),
    ],
)
def test_what_cannot_be_is_refused(arguments):
    with pytest.raises(ValidationError):
        read_settings(arguments)


def test_unknown_flags_and_keys_fail(tmp_path):
    with pytest.raises(SystemExit):
        read_settings(["--frobnicate=1"])
    config = tmp_path / "sharing.toml"
    config.write_text("frobnicate = 1\n")
    with pytest.raises(ValidationError):
        read_settings(["--config", str(config)])
    with pytest.raises(FileNotFoundError):
        read_settings(["--config", str(tmp_path / "none.toml")])


def test_a_tenant_has_the_weight_that_is_said_and_otherwise_one():
    settings = read_settings(["--weights", '{"shop": 3}'])
    assert (settings.weight_of("shop"), settings.weight_of("bank")) == (3.0, 1.0)
    for weight in ("0", "-1", "1e9"):
        with pytest.raises(ValidationError, match="weights"):
            read_settings(["--weights", f'{{"shop": {weight}}}'])
