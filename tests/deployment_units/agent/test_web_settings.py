"""Where browsers reach units: one address with {unit} in it, or one for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.errors import InvalidInput
from control_plane.fleet.file import SAMPLE, TWO_UNITS
from deployment_units.agent.config_checks import specs_of
from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.web_settings import WebSettings, address_of, client_of

EACH = "eu-west=https://eu-west.localhost:7721, eu-north=http://eu-north.localhost:7722/"


@pytest.mark.parametrize(
    ("url", "own", "other"),
    [
        ("https://{unit}.talk.example", "https://eu-west.talk.example", "https://mia.talk.example"),
        ("https://talk.example/", "https://talk.example", ""),
        (EACH, "https://eu-west.localhost:7721", ""),
    ],
)
def test_links_lead_where_browsers_reach_a_unit(url: str, own: str, other: str) -> None:
    assert (address_of(url, "eu-west"), client_of(url, "mia")) == (own, other)


def test_links_of_accounts_that_moved_lead_to_each_unit_that_is_named() -> None:
    assert client_of(EACH, "eu-north") == "http://eu-north.localhost:7722"
    assert (address_of(EACH, "mia"), client_of("", "mia")) == ("", "")


def misfits(url: str, *, fleet: bool = True) -> list[str]:
    settings = WebSettings(http_listen="127.0.0.1:0", web_url=url)
    return list(settings.web_misfits(accounts=True, fleet=fleet))


@pytest.mark.parametrize("url", [EACH, "https://{unit}.talk.example"])
def test_what_fits(url: str) -> None:
    assert misfits(url) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://talk.example", "write {unit} into --web-url"),
        ("eu-west=http://talk.example", "is not https://name"),
        ("eu-west=https://talk.example/x", "is not https://name"),
        (f"{EACH},https://talk.example", "UNIT=URL for each unit"),
        (f"eu-west=https://{'a.' * 100}example", "is not https://name"),
    ],
)
def test_what_does_not_is_named(url: str, said: str) -> None:
    assert any(said in one for one in misfits(url))


@pytest.mark.parametrize(
    ("file", "port", "fits"), [(SAMPLE, 7721, False), (TWO_UNITS, 7721, False), (SAMPLE, 0, True)]
)
def test_several_units_do_not_share_a_port(file: Path, port: int, fits: bool) -> None:
    settings = AgentSettings(
        units=file, accounts=True, state_dir=Path("state"), http_listen=f"127.0.0.1:{port}"
    )
    if fits:
        assert specs_of(settings)
    else:
        with pytest.raises(InvalidInput, match="need a port each"):
            specs_of(settings)
