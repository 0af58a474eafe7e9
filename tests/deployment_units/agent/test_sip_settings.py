"""Settings of a call server that do not fit are said, each with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from deployment_units.agent.settings import AgentSettings

GOOD = {"sip_listen": "127.0.0.1:0", "sip_trunks": "carrier=192.0.2.20/GB"}


def made(tmp_path: Path, **given: object) -> AgentSettings:
    kept = {"unit": "u", "accounts": True, "state_dir": tmp_path} | GOOD | given
    return AgentSettings(**kept)  # type: ignore[arg-type]


def test_what_fits_is_not_complained_of(tmp_path: Path) -> None:
    made(tmp_path)
    made(tmp_path, text_number="+442079460100")
    made(tmp_path, sip_listen="0.0.0.0:5060", sip_address="192.0.2.10:5060")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"accounts": False, "state_dir": None}, "--accounts"),
        ({"sip_listen": "", "sip_trunks": "a=192.0.2.1"}, "--sip-listen"),
        ({"sip_listen": "host:5060"}, "IPv4"),
        ({"sip_listen": "127.0.0.1:70000"}, "IPv4"),
        ({"sip_listen": "0.0.0.0:5060"}, "--sip-address"),
        ({"sip_address": "talk.example:5060"}, "--sip-address"),
        ({"sip_trunks": ""}, "sip_trunks"),
        ({"sip_out": "nobody"}, "sip_out"),
        ({"sip_emergency": "nobody"}, "sip_emergency"),
        ({"sip_region": "gb"}, "--sip-region"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, given: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        made(tmp_path, **given)


def test_a_number_for_texts_needs_a_way_for_them(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="--text-line or --sip-listen"):
        AgentSettings(unit="u", accounts=True, state_dir=tmp_path, text_number="+442079460100")
