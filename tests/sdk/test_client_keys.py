"""Keys of clients: made once, kept from others, and shown with every call about their client."""

from __future__ import annotations

import re
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from homeport.client_keys import ClientKeys
from homeport.credentials import KEY_METADATA, ClientCredentials
from homeport.enrolment import hmac_token


def test_a_key_is_made_once_and_kept_from_others(tmp_path):
    keys = ClientKeys(tmp_path / "kept")
    made = keys.key("city", "meter-1")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", made)
    assert keys.key("city", "meter-1") == made
    assert ClientKeys(tmp_path / "kept").key("city", "meter-1") == made
    path = keys.path("city", "meter-1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_each_client_of_each_tenant_has_its_own(tmp_path):
    for keys in (ClientKeys(tmp_path), ClientKeys(None)):
        made = {keys.key(*of) for of in [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]}
        assert len(made) == 4


def test_without_a_folder_a_key_lasts_as_long_as_the_client():
    keys = ClientKeys(None)
    assert keys.key("a", "x") == keys.key("a", "x") == keys.known("a", "x")
    assert ClientKeys(None).key("a", "x") != keys.key("a", "x")


def test_of_many_that_make_it_at_once_all_use_one(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: ClientKeys(tmp_path).key("a", "x"), range(40)))
    assert len(set(made)) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "content", [b"", b"short", b"\xff" * 44, b"A" * 43 + b"\n\n", b"A" * 99_999]
)
def test_a_damaged_key_is_not_used_and_not_overwritten(tmp_path, content, caplog):
    keys = ClientKeys(tmp_path)
    path = keys.path("a", "x")
    path.write_bytes(content)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", keys.key("a", "x"))
    assert path.read_bytes() == content
    assert "is not used" in caplog.text


def test_where_nothing_can_be_kept_the_call_goes_on(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert len(ClientKeys(tmp_path / "file" / "folder").key("a", "x")) == 43
    assert "is not used" in caplog.text


def test_calls_about_a_client_show_its_key_and_others_do_not(tmp_path):
    shown = ClientCredentials(tenant="a", keys=ClientKeys(tmp_path), token="t")
    general = (("authorization", "Bearer t"),)
    assert shown.general == shown.of("") == general
    assert shown.at_hand("x") is None  # a file has to be read
    assert shown.of("x") == (*general, (KEY_METADATA, ClientKeys(tmp_path).key("a", "x")))
    assert shown.at_hand("x") == shown.of("x")


def test_an_enrolment_token_may_be_made_for_each_client():
    shown = ClientCredentials(tenant="a", keys=None, enrolment=lambda client: f"for-{client}")
    assert shown.of("x") == (("authorization", "Bearer for-x"),)
    assert shown.general == ()
    fixed = ClientCredentials(tenant="a", enrolment="boot.x.y")
    assert fixed.of("x") == (("authorization", "Bearer boot.x.y"),)


def test_one_header_cannot_hold_two_tokens():
    with pytest.raises(ValueError, match="give one of them"):
        ClientCredentials(tenant="a", token="t", enrolment="e")


def test_a_groups_token_is_of_one_client_of_one_tenant():
    key = bytes(range(32))
    made = hmac_token(group="line-3", key=key, tenant="city", client_id="meter-1")
    assert re.fullmatch(r"hmac\.line-3\.[A-Za-z0-9_-]{43}", made)
    text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert hmac_token(group="line-3", key=text, tenant="city", client_id="meter-1") == made
    others = [("city", "meter-2"), ("bank", "meter-1")]
    assert all(
        hmac_token(group="line-3", key=key, tenant=tenant, client_id=client) != made
        for tenant, client in others
    )


@pytest.mark.parametrize("key", [b"", bytes(31), "AA", "not base64!", "ä"])
def test_a_key_that_is_none_is_refused(key):
    with pytest.raises(ValueError, match="group's key"):
        hmac_token(group="g", key=key, tenant="t", client_id="c")
