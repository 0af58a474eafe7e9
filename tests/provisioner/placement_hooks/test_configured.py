"""The operator's file of hooks: where servers connect, nobody else says."""

from __future__ import annotations

import pytest

from control_plane.errors import FaultyFile
from provisioner.placement_hooks.configured import read_hooks
from tests.support.certificates import Authority


def written(folder, text):
    path = folder / "hooks.yaml"
    path.write_text(text)
    return path


def test_files_are_named_from_its_own_folder_on(tmp_path):
    authority = Authority.new()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    authority.write(tmp_path, "shown")
    found = read_hooks(
        written(
            tmp_path,
            """
hooks:
  near: {endpoint: "127.0.0.1:7000"}
  far: {endpoint: "hooks.northwind.example:443", tenants: [northwind], ca: ca.pem,
        certificate: shown.pem, key: shown.key, at_once: 4}
""",
        )
    )
    near, far = found["near"], found["far"]
    assert (near.ca, near.tenants, near.at_once) == (None, frozenset(), 32)
    assert far.ca == authority.certificate
    assert (far.tenants, far.at_once) == ({"northwind"}, 4)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(
            'hooks: {a: {endpoint: "hooks.northwind.example:443"}}',
            "hooks.a.ca: a hook beyond this machine is called over TLS",
            id="in-the-clear",
        ),
        pytest.param(
            'hooks: {a: {endpoint: "unix:///run/x:1"}}', "is not host:port", id="another-scheme"
        ),
        pytest.param("hooks: {a: {endpoint: localhost}}", "is not host:port", id="no-port"),
        pytest.param(
            'hooks: {a: {endpoint: "127.0.0.1:1", url: x}}', "there is no field", id="unknown"
        ),
        pytest.param(
            'hooks: {a: {endpoint: "127.0.0.1:1", ca: gone.pem}}', "cannot be read", id="no-file"
        ),
        pytest.param(
            'hooks: {a: {endpoint: "127.0.0.1:1", key: hooks.yaml}}',
            "certificate and key belong together",
            id="half-a-certificate",
        ),
        pytest.param("hooks: {}", "there is none", id="empty"),
        pytest.param("hooks: {a: {endpoint: 1}}", "has to be a text", id="wrong-type"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, text, why):
    with pytest.raises(FaultyFile) as raised:
        read_hooks(written(tmp_path, text))
    assert why in raised.value.message


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FaultyFile, match=r"gone\.yaml"):
        read_hooks(tmp_path / "gone.yaml")
