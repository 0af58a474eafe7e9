"""Which service a command talks to."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from console.cli.profile import _KEYS, Flags, Target, choose_target, config_path
from control_plane.errors import InvalidInput

CONFIG = """
default_profile = "staging"

[profiles.staging]
server = "staging.example.net:7700"
tenant = "shop"
token = "from-file"

[profiles.lab]
server = "a.example.net:1,b.example.net:2"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize(
    ("flags", "environ", "expected"),
    [
        pytest.param(
            Flags(),
            {},
            Target(servers=("staging.example.net:7700",), tenant="shop", token="from-file"),
            id="the default profile counts where nothing else is said",
        ),
        pytest.param(
            Flags(profile="lab"),
            {},
            Target(servers=("a.example.net:1", "b.example.net:2"), tenant="default", token=""),
            id="a profile need not set everything, and may name several servers",
        ),
        pytest.param(
            Flags(),
            {"HOMEPORT_PROFILE": "lab", "HOMEPORT_TOKEN": "from-environment"},
            Target(
                servers=("a.example.net:1", "b.example.net:2"),
                tenant="default",
                token="from-environment",
            ),
            id="the environment chooses a profile and overrides parts of it",
        ),
        pytest.param(
            Flags(server="flag:3", tenant="t"),
            {"HOMEPORT_SERVER": "environment:4", "HOMEPORT_TENANT": "e"},
            Target(servers=("flag:3",), tenant="t", token="from-file"),
            id="flags win over the environment, each for itself",
        ),
        pytest.param(
            Flags(profile="staging"),
            {"HOMEPORT_PROFILE": "lab"},
            Target(servers=("staging.example.net:7700",), tenant="shop", token="from-file"),
            id="--profile wins over HOMEPORT_PROFILE",
        ),
        pytest.param(
            Flags(ca="system"),
            {"HOMEPORT_CA": "/etc/other.pem"},
            Target(
                servers=("staging.example.net:7700",), tenant="shop", token="from-file", ca="system"
            ),
            id="TLS is asked for like everything else",
        ),
        pytest.param(
            Flags(),
            {f"HOMEPORT_{key.upper()}": "" for key in (*_KEYS, "profile")},
            Target(servers=("staging.example.net:7700",), tenant="shop", token="from-file"),
            id="an environment variable that is empty counts as not set",
        ),
        pytest.param(
            Flags(server="bare-host"),
            {},
            Target(servers=("bare-host:7700",), tenant="shop", token="from-file"),
            id="a host without port means the usual port",
        ),
    ],
)
def test_settings_are_resolved_one_by_one(
    config: Path, flags: Flags, environ: dict[str, str], expected: Target
) -> None:
    """Flags > environment > profile > default."""
    assert choose_target(flags, environ, config) == expected


TOKENS = """
[profiles.both]
token = "of-profile"
token_file = "/absent"

[profiles.file]
token_file = "{file}"

[profiles.none]
server = "a:1"
"""


@pytest.mark.parametrize(
    ("flags", "environ", "profile", "expected"),
    [
        ({"token": "flag", "token_file": "/absent"}, {}, "both", "flag"),
        ({"token_file": "{file}"}, {"HOMEPORT_TOKEN": "environment"}, "both", "of-file"),
        ({}, {"HOMEPORT_TOKEN": "environment", "HOMEPORT_TOKEN_FILE": "/absent"}, "both",
         "environment"),
        ({}, {"HOMEPORT_TOKEN_FILE": "{file}"}, "both", "of-file"),
        ({}, {}, "both", "of-profile"),
        ({}, {}, "file", "of-file"),
        ({}, {}, "none", ""),
    ],
)  # fmt: skip
def test_the_first_place_that_tells_a_token_counts_and_there_the_token_itself(
    tmp_path: Path, flags: dict[str, str], environ: dict[str, str], profile: str, expected: str
) -> None:
    file, config = tmp_path / "token", tmp_path / "config.toml"
    file.touch(mode=0o600)
    file.write_text("of-file\n")
    config.write_text(TOKENS.format(file=file))

    def filled(given: dict[str, str]) -> dict[str, str]:
        return {key: value.format(file=file) for key, value in given.items()}

    target = choose_target(Flags(profile=profile, **filled(flags)), filled(environ), config)
    assert target.token == expected


def test_a_token_file_that_cannot_be_used_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="token-file: /absent cannot be read"):
        choose_target(Flags(token_file="/absent"), {}, tmp_path / "none.toml")


def test_without_a_config_file_the_local_server_is_meant(tmp_path: Path) -> None:
    """Nothing has to be configured for `homeport up` and the commands beside it."""
    chosen = choose_target(Flags(), {}, tmp_path / "none.toml")
    assert chosen == Target(servers=("127.0.0.1:7700",), tenant="default", token="")


@pytest.mark.parametrize(
    ("text", "flags", "complaint"),
    [
        pytest.param("servr = 1", Flags(), "unknown key servr", id="unknown key at the top"),
        pytest.param(
            '[profiles.p]\nsevrer = "a:1"',
            Flags(),
            "unknown key profiles.p.sevrer",
            id="unknown key in a profile, used or not",
        ),
        pytest.param(
            "[profiles.p]\nserver = 7700", Flags(), "must be a string", id="a number for a server"
        ),
        pytest.param("profiles = 3", Flags(), "profiles must be tables", id="profiles no table"),
        pytest.param("server =", Flags(), "is not TOML", id="not TOML"),
        pytest.param("\0" * 100, Flags(), "is not TOML", id="zeros, as after a power cut"),
        pytest.param("a = " + "[" * 50_000, Flags(), "nested too deep", id="deep"),
        pytest.param("a = " + "9" * 5_000, Flags(), "too many digits", id="a number too long"),
        pytest.param(CONFIG, Flags(profile="prod"), "it has lab, staging", id="unknown profile"),
        pytest.param(
            'default_profile = "gone"', Flags(), "no profile gone", id="unknown default profile"
        ),
        *(
            pytest.param(
                f'[profiles.p]\n{key} = ""',
                Flags(),
                f"profiles.p.{key} is empty; give it",
                id=f"a profile whose {key} is empty, used or not",
            )
            for key in _KEYS
        ),
        pytest.param(
            'default_profile = ""', Flags(), "default_profile is empty", id="empty default profile"
        ),
        *(
            pytest.param(
                CONFIG,
                Flags(**{key: ""}),
                f"--{key.replace('_', '-')} is empty; give it a value",
                id=f"an empty {key} on the command line",
            )
            for key in (*_KEYS, "profile")
        ),
        pytest.param(
            CONFIG, Flags(server="http://x:1"), "without http://", id="a URL for a server"
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, flags: Flags, complaint: str) -> None:
    """Nothing unknown is passed over in silence."""
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=complaint):
        choose_target(flags, {}, path)


def test_a_profile_without_a_config_file_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        choose_target(Flags(profile="staging"), {}, tmp_path / "none.toml")


def test_a_token_never_shows_in_a_representation() -> None:
    """Targets end up in error reports and logs; tokens must not."""
    assert "hush" not in repr(Target(servers=("a:1",), tenant="t", token="hush"))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"HOME": "/h"}, "/h/.config/homeport/config.toml", id="below the home"),
        pytest.param(
            {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "/x/homeport/config.toml", id="XDG wins"
        ),
    ],
)
def test_where_the_config_file_is(environ: dict[str, str], expected: str) -> None:
    assert config_path(environ) == Path(expected)


WHOLE = '[profiles.staging]\nserver = "staging.example.net:7700"\n'


@pytest.mark.parametrize("length", range(len("[profiles.staging]"), len(WHOLE) - 1))
def test_a_profile_that_is_half_written_is_noticed(tmp_path: Path, length: int) -> None:
    """At whatever byte the writing has come: never is another server meant than the profile's."""
    config = tmp_path / "config.toml"
    config.write_text(WHOLE[:length])
    with pytest.raises(InvalidInput, match=re.escape(str(config))):
        choose_target(Flags(profile="staging"), {}, config)


@pytest.mark.parametrize(
    ("environ", "profile", "folder"),
    [
        ({"HOME": "/home/a"}, "", "/home/a/.local/state/homeport/keys/default"),
        ({"XDG_STATE_HOME": "/s"}, "staging", "/s/homeport/keys/staging"),
        ({"XDG_STATE_HOME": "/s"}, "../x", "/s/homeport/keys/%2E%2E%2Fx"),
    ],
)
def test_keys_of_clients_are_kept_for_each_profile(tmp_path, environ, profile, folder):
    config = tmp_path / "config.toml"
    config.write_text(f"[profiles.'{profile}']\ntenant = 't'\n" if profile else "")
    chosen = choose_target(Flags(profile=profile or None), environ, config)
    assert chosen.keys == Path(folder)


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        (Flags(), ("/s/ca.pem", "/s/operator.pem", "/s/operator.key")),
        (Flags(ca="/s/ca.pem"), ("/s/ca.pem", "/s/operator.pem", "/s/operator.key")),
        (Flags(ca="/mine.pem"), ("/mine.pem", "", "")),
        (
            Flags(certificate="/me.pem", certificate_key="/me.key"),
            ("/s/ca.pem", "/me.pem", "/me.key"),
        ),
    ],
)
def test_a_local_stack_that_asks_for_certificates_gets_that_of_its_record(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: Flags,
    shown: tuple[str, str, str],
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (folder := tmp_path / f"homeport-{os.getuid()}").mkdir(mode=0o700)
    record = {
        "addresses": ["127.0.0.1:7700"], "ca": "/s/ca.pem", "token": "", "pid": os.getpid(),
        "certificate": "/s/operator.pem", "certificate_key": "/s/operator.key",
    }  # fmt: skip
    (folder / "a.json").write_text(json.dumps(record))
    (folder / "a.json").chmod(0o600)
    found = choose_target(flags, {}, tmp_path / "none.toml")
    assert (found.ca, found.certificate, found.certificate_key) == shown
