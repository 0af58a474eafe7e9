"""Every setting of the parent is the worker's, whatever its kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.settings import Settings, read_settings
from provisioner.wiring.workers import worker_arguments

READY = Path("worker-0.json")
OF_ITS_OWN = {"workers": 1, "listen": "127.0.0.1:7700", "ready_file": READY}


def of_a_worker(settings: Settings) -> Settings:
    return read_settings(worker_arguments(settings, 0, {"listen": 7700}, READY))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--insecure"],
        ['--trusted-proxies=["10.0.0.0/8", "192.0.2.7"]'],
        ['--quotas={"new-clients": {"tenant": 20.0, "address": 5.5}}'],
        ["--oidc-issuer=https://id.example.net", "--oidc-audience=homeport",
         '--oidc-roles=["ops=operator", "boss=admin"]'],
        ["--tls-certificate=server.pem", "--tls-key=server.key", "--tls-client-ca=ca.pem",
         "--certificate-trust-domain=example.net",
         '--certificate-operators=["spiffe://example.net/alice=admin"]'],
        ["--session-ttl-s=7", "--stale-grace-s=12.5", "--transport=grpcio", "--workers=3"],
        ["--geo-overrides=overrides of ours.yaml", "--log-level=debug"],
    ],
    ids=lambda words: words[0].split("=")[0] if words else "defaults",
)  # fmt: skip
def test_a_worker_has_what_its_parent_was_given(words: list[str]) -> None:
    settings = read_settings(["--store=etcd://127.0.0.1:2379", "--listen=127.0.0.1:0", *words])
    assert of_a_worker(settings) == settings.model_copy(update=OF_ITS_OWN)


def test_every_kind_of_setting_there_is_was_tried() -> None:
    """A kind that is not one of these needs a way to a worker's command line, and a row above."""
    kinds = {type(value) for value in read_settings([]).model_dump(mode="json").values()}
    assert kinds <= {str, int, float, bool, list, dict, type(None)}
