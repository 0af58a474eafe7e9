"""What may listen beyond this machine, and which settings of TLS belong together, of every
service that has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from control_plane.exposure import is_loopback
from data_sharing.platforms.settings import read_settings as read_platform
from data_sharing.settings import read_settings as read_share
from deployment_units.agent.settings import read_settings as read_agent
from provisioner.settings import read_settings as read_serve
from provisioner.wiring.workers import worker_arguments

TLS = ["--tls-certificate=c", "--tls-key=k"]
TOKENS = ["--tokens=t"]


def agent(arguments: Sequence[str]) -> Any:
    return read_agent(["--unit=u", *arguments])


def platform(arguments: Sequence[str]) -> Any:
    return read_platform(["--name=p", "--applications=a", "--data-dir=d", *arguments])


SERVERS = [
    pytest.param(read_serve, id="serve"),
    pytest.param(read_share, id="share"),
    pytest.param(agent, id="agent"),
]
CALLERS = [
    pytest.param(agent, "", "certificate-key", id="agent"),
    pytest.param(platform, "", "certificate-key", id="platform"),
    pytest.param(read_serve, "unit-", "unit-key", id="serve to units"),
]


@pytest.mark.parametrize("read", SERVERS)
@pytest.mark.parametrize(
    "given",
    [
        pytest.param(["--tls-certificate=c"], id="a certificate alone"),
        pytest.param(["--tls-key=k"], id="a key alone"),
        pytest.param(["--tls-client-ca=a"], id="a client CA alone"),
        pytest.param(["--tls-certificate=c", "--tls-client-ca=a"], id="no key"),
        pytest.param(["--tls-key=k", "--tls-client-ca=a"], id="no certificate"),
    ],
)
def test_half_a_configuration_is_refused(read: Callable[..., Any], given: list[str]) -> None:
    for more in ([], ["--insecure"]):
        with pytest.raises(ValidationError, match=r"belong together|needs --tls-certificate"):
            read([*given, *more])


@pytest.mark.parametrize(("read", "prefix", "key"), CALLERS)
def test_half_a_certificate_to_show_is_refused(
    read: Callable[..., Any], prefix: str, key: str
) -> None:
    ca, certificate, its_key = f"--{prefix}ca=a", f"--{prefix}certificate=c", f"--{key}=k"
    for words in ([certificate], [its_key], [ca, certificate], [ca, its_key]):
        with pytest.raises(ValidationError, match="belong together"):
            read(words)
    with pytest.raises(ValidationError, match=f"needs --{prefix}ca"):
        read([certificate, its_key])
    read([ca, certificate, its_key])
    read([ca])


def test_half_a_certificate_for_the_store_is_refused() -> None:
    for words in ("--store-certificate=c", "--store-key=k"):
        with pytest.raises(ValidationError, match="belong together"):
            read_serve([words])
    read_serve(["--store-certificate=c", "--store-key=k"])  # etcd's CA may be the system's


EVERYWHERE = ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[2001:db8::1]:0", "host.example.net:0"]
HERE = ["127.0.0.1:0", "127.9.9.9:0", "[::1]:0", "localhost:0", "[::ffff:127.0.0.1]:0"]


@pytest.mark.parametrize("read", SERVERS)
@pytest.mark.parametrize("listen", EVERYWHERE)
def test_beyond_loopback_a_server_needs_tls(read: Callable[..., Any], listen: str) -> None:
    with pytest.raises(ValidationError, match="needs --tls-certificate and --tls-key"):
        read([f"--listen={listen}"])
    read([f"--listen={listen}", "--insecure"])


@pytest.mark.parametrize(
    ("read", "flag"),
    [(read_serve, "--listen"), (read_share, "--listen"), (read_share, "--http-listen")],
)
def test_beyond_loopback_a_service_needs_tokens_too(read: Callable[..., Any], flag: str) -> None:
    everywhere = f"{flag}=0.0.0.0:0"
    with pytest.raises(ValidationError, match=f"{flag} .*needs --tokens;"):
        read([everywhere, *TLS])
    with pytest.raises(ValidationError, match=f"{flag} .*needs --tls-certificate and --tls-key;"):
        read([everywhere, *TOKENS])
    read([everywhere, *TLS, *TOKENS])


def test_an_agent_takes_no_tokens() -> None:
    agent(["--listen=0.0.0.0:0", *TLS])


@pytest.mark.parametrize("read", SERVERS)
@pytest.mark.parametrize("listen", HERE)
def test_on_loopback_nothing_is_needed(read: Callable[..., Any], listen: str) -> None:
    read([f"--listen={listen}"])


@pytest.mark.parametrize("read", SERVERS[:2])
def test_metrics_may_be_read_from_elsewhere(read: Callable[..., Any]) -> None:
    read(["--metrics-listen=0.0.0.0:0"])


def test_workers_are_told_that_it_is_meant() -> None:
    for more, expected in ((["--insecure"], True), ([], False)):
        settings = read_serve(["--workers=2", *more])
        given_on = worker_arguments(settings, 0, {"listen": 7700}, Path("r"))
        assert read_serve(given_on).insecure is expected


@given(st.ip_addresses())
def test_loopback_is_what_the_address_says(address: Any) -> None:
    listen = f"[{address}]:1" if address.version == 6 else f"{address}:1"
    mapped = getattr(address, "ipv4_mapped", None) or address
    assert is_loopback(listen) == mapped.is_loopback


@pytest.mark.parametrize(
    "listen", ["127.1:1", "localhost.example.net:1", "127.0.0.1.example.net:1", ":1", "0:1", ""]
)
def test_what_only_looks_like_loopback_is_none(listen: str) -> None:
    assert not is_loopback(listen)
