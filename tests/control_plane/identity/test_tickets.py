"""Tickets: what is signed verifies, everything else is refused for a reason of its own."""

import asyncio
import base64
import hmac
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane import keys
from control_plane.errors import InvalidInput
from control_plane.identity.admission import AdmissionReason, EpochMemory, TicketVerifier
from control_plane.identity.jws import base64url
from control_plane.identity.keyring import (
    KeyRing,
    encode_ring,
    load_or_create,
    new_epoch,
    public_bytes,
    read_ring,
    rotate_stored,
    rotated,
    unit_key,
)
from control_plane.identity.names import check_client_id, check_slug
from control_plane.identity.tickets import TicketIssuer
from control_plane.store.embedded import EmbeddedStore

NOW = 1_800_000_000.0
TTL = 3600.0
RING = KeyRing(epochs=(new_epoch(1, now=NOW, random=os.urandom),))
ISSUER = TicketIssuer(RING)
client_ids = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\u2028\u2029"),
    min_size=1,
    max_size=30,
)


def verifier(unit="eu-west", **more):
    return TicketVerifier(unit, ISSUER.keys_for(unit), **more)


def ticket(client="alice", *, unit="eu-west", tenant="default", epoch=1, now=NOW):
    return ISSUER.issue(unit, tenant, client, epoch, now, TTL)


@given(client=client_ids, epoch=st.integers(1, 2**53))
def test_what_is_issued_is_admitted_and_reads_back(client, epoch):
    for issue in (ISSUER.issue, ISSUER.issue_eddsa):
        admission = verifier().verify(issue("eu-west", "acme", client, epoch, NOW, TTL), NOW)
        assert admission.reason is AdmissionReason.ADMITTED
        assert (admission.tenant, admission.client_id, admission.epoch) == ("acme", client, epoch)
        assert admission.expires_at == NOW + TTL


@given(client=client_ids)
def test_another_implementation_verifies_it_too(client):
    claims = jwt.decode(
        ticket(client),
        unit_key(RING.newest, "eu-west"),
        ["HS256"],
        audience="eu-west",
        issuer="homeport",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["sub"] == client
    assert claims["exp"] - claims["iat"] == TTL
    signed = ISSUER.issue_eddsa("eu-west", "acme", client, 1, NOW, TTL)
    key = jwt.PyJWKSet.from_dict(ISSUER.jwks())[jwt.get_unverified_header(signed)["kid"]]
    options = {"verify_exp": False, "verify_iat": False}
    assert jwt.decode(signed, key, ["EdDSA"], audience="eu-west", options=options)["sub"] == client


@given(data=st.data())
def test_any_changed_character_is_refused(data):
    good = ticket()
    place = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.sampled_from("ABCXYZabcxyz0189-_."))
    if good[place] != other:
        changed = good[:place] + other + good[place + 1 :]
        assert not verifier().verify(changed, NOW).admitted


def forged(header: dict, key: bytes) -> str:
    claims = json.loads(base64.urlsafe_b64decode(ticket().split(".")[1] + "=="))
    return jwt.encode(claims, key, algorithm=header["alg"], headers=header)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda: "hello", AdmissionReason.MALFORMED, id="no-ticket-at-all"),
        pytest.param(lambda: "a.b.c", AdmissionReason.MALFORMED, id="three-parts-of-nothing"),
        pytest.param(lambda: "x" * 9000, AdmissionReason.MALFORMED, id="far-too-long"),
        pytest.param(
            lambda: ticket()[:-4] + "AAAA", AdmissionReason.FORGED, id="another-signature"
        ),
        pytest.param(
            lambda: forged({"alg": "HS256", "kid": "u1"}, b"k" * 32),
            AdmissionReason.FORGED,
            id="another-key",
        ),
        pytest.param(
            lambda: forged({"alg": "HS256", "kid": "u9"}, b"k" * 32),
            AdmissionReason.FORGED,
            id="an-unknown-key",
        ),
        pytest.param(
            lambda: forged({"alg": "HS256", "kid": "e1"}, public_bytes(RING.newest)),
            AdmissionReason.FORGED,
            id="the-public-key-as-a-secret",
        ),
        pytest.param(lambda: ticket(now=NOW - 2 * TTL), AdmissionReason.EXPIRED, id="too-old"),
        pytest.param(
            lambda: ticket(now=NOW + 600), AdmissionReason.NOT_YET_VALID, id="from-the-future"
        ),
        pytest.param(
            lambda: ticket(unit="us-east"), AdmissionReason.WRONG_UNIT, id="another-units"
        ),
        pytest.param(
            lambda: ISSUER.issue_eddsa("us-east", "default", "a", 1, NOW, TTL),
            AdmissionReason.WRONG_UNIT,
            id="another-units-with-the-shared-key",
        ),
        pytest.param(
            lambda: ticket(tenant="foreign"), AdmissionReason.FOREIGN_TENANT, id="not-served"
        ),
        pytest.param(lambda: ticket(epoch=2), AdmissionReason.STALE_EPOCH, id="before-a-move"),
    ],
)
def test_each_refusal_has_its_own_reason_and_next_step(make, reason):
    door = verifier(tenants=["default"])
    assert door.verify(ticket(epoch=3), NOW).admitted
    admission = door.verify(make(), NOW)
    assert admission.reason is reason
    assert not admission.admitted
    assert ";" in admission.message


def test_alg_none_is_forged():
    header = base64url(b'{"alg":"none","kid":"u1","typ":"JWT"}').decode()
    unsigned = ".".join([header, ticket().split(".")[1], ""])
    assert verifier().verify(unsigned, NOW).reason is AdmissionReason.FORGED


def test_a_forged_ticket_tells_nothing_of_itself():
    admission = verifier().verify(ticket("secret-name")[:-4] + "AAAA", NOW)
    assert (admission.client_id, admission.tenant) == ("", "")
    assert "secret-name" not in admission.message


def test_epochs_are_remembered_for_the_latest_clients_only():
    memory = EpochMemory(size=2)
    for client in ("a", "b", "c"):
        memory.remember("t", client, 5, 1000)
    past = [memory.is_past("t", client, 4, 1000) for client in ("a", "b", "c")]
    assert past == [False, True, True]


def test_a_client_that_was_released_begins_again_at_epoch_one():
    door = verifier()
    assert door.verify(ticket(epoch=3), NOW).admitted
    assert door.verify(ticket(epoch=1, now=NOW + 10), NOW + 10).admitted
    assert door.verify(ticket(epoch=1), NOW + 10).admitted  # equal epochs: it lives here


def test_a_forger_cannot_make_the_public_key_a_secret():
    """HS256 with the public key as its secret, under each name a key of ours has."""
    public = public_bytes(RING.newest)
    for key_id in ("e1", "u1"):
        for algorithm in ("HS256", "EdDSA"):
            header = json.dumps({"alg": algorithm, "kid": key_id}).encode()
            message = base64url(header) + b"." + ticket().split(".")[1].encode()
            signature = hmac.digest(public, message, "sha256")
            made = (message + b"." + base64url(signature)).decode()
            assert verifier().verify(made, NOW).reason is AdmissionReason.FORGED


@pytest.mark.parametrize(
    "header",
    [b"[]", b"7", b"{}", b"not json", b"[" * 4000, b'{"alg":["HS256"],"kid":"u1"}',
     b'{"alg":"HS256","kid":1}', b"\xff\xff"],
)  # fmt: skip
def test_a_header_that_is_none_is_malformed(header):
    made = ".".join([base64url(header[:2000]).decode(), *ticket().split(".")[1:]])
    assert verifier().verify(made, NOW).reason is AdmissionReason.MALFORMED


@given(st.text(max_size=200))
def test_any_text_at_all_gets_an_answer(text):
    assert not verifier().verify(text, NOW).admitted
    assert not verifier().verify(ticket() + text, NOW).admitted or not text


@pytest.mark.parametrize(
    ("at_s", "reason"),
    [
        pytest.param(-5.0, AdmissionReason.ADMITTED, id="issued-within-the-leeway"),
        pytest.param(-6.0, AdmissionReason.NOT_YET_VALID, id="issued-later-than-that"),
        pytest.param(TTL + 5.0, AdmissionReason.ADMITTED, id="expired-within-the-leeway"),
        pytest.param(TTL + 6.0, AdmissionReason.EXPIRED, id="expired-before-that"),
    ],
)
def test_clocks_may_be_five_seconds_apart(at_s, reason):
    assert verifier().verify(ticket(), NOW + at_s).reason is reason


def test_a_unit_key_is_hkdf_as_rfc_5869_has_it():
    """Extract and expand written out with HMAC, as sections 2.2 and 2.3 say; 32 bytes are
    one block, T(1). The construction itself is held to test case 1 of appendix A."""

    def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
        prk = hmac.digest(salt, secret, "sha256")
        first = hmac.digest(prk, info + b"\x01", "sha256")
        return (first + hmac.digest(prk, first + info + b"\x02", "sha256"))[:length]

    assert hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42).hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    master = base64.b64decode(RING.newest.master)
    expected = hkdf(master, b"homeport ticket key v1", b"unit eu-west epoch 1", 32)
    assert unit_key(RING.newest, "eu-west") == expected


def test_each_unit_and_epoch_has_a_key_of_its_own():
    ring = rotated(RING, now=NOW, overlap_s=TTL, random=os.urandom)
    made = {unit_key(epoch, unit) for epoch in ring.epochs for unit in ("a", "b", "a epoch 1")}
    assert len(made) == 6


def test_the_key_set_as_another_program_fetches_it():
    """PyJWKClient over HTTP, from a served key set that was rotated."""
    ring = rotated(RING, now=NOW, overlap_s=TTL, random=os.urandom)
    document = json.dumps(TicketIssuer(ring).jwks(NOW)).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *args):
            """Nothing on stderr."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            client = jwt.PyJWKClient(f"http://127.0.0.1:{server.server_port}/jwks", timeout=10)
            for issuer in (ISSUER, TicketIssuer(ring)):
                signed = issuer.issue_eddsa("eu-west", "acme", 'ü"', 1, NOW, TTL)
                claims = jwt.decode(
                    signed,
                    client.get_signing_key_from_jwt(signed).key,
                    ["EdDSA"],
                    audience="eu-west",
                    options={"verify_exp": False, "verify_iat": False},
                )
                assert claims["sub"] == 'ü"'
        finally:
            server.shutdown()
            serving.join()


def test_rotation_overlaps_and_ends():
    before = TicketIssuer(RING).issue("eu-west", "default", "alice", 1, NOW, TTL)
    ring = rotated(RING, now=NOW, overlap_s=TTL, random=os.urandom)
    issuer = TicketIssuer(ring)
    after = issuer.issue("eu-west", "default", "alice", 1, NOW, TTL)
    door = TicketVerifier("eu-west", issuer.keys_for("eu-west", NOW))
    assert jwt.get_unverified_header(after)["kid"] == "u2"
    assert door.verify(before, NOW).admitted
    assert door.verify(after, NOW).admitted
    assert door.verify(before, NOW + TTL + 1).reason is AdmissionReason.FORGED
    assert [e.epoch for e in rotated(ring, now=NOW + TTL + 1, overlap_s=1, random=os.urandom)
            .valid(NOW + TTL + 1)] == [2, 3]  # fmt: skip


async def test_the_first_server_makes_the_ring_and_all_share_it(tmp_path):
    store = await EmbeddedStore.open(tmp_path / "store.db")
    one = await load_or_create(store, path=None, now=NOW, random=os.urandom)
    two = await load_or_create(store, path=None, now=NOW, random=os.urandom)
    assert one == two
    three = (await rotate_stored(store, now=NOW, overlap_s=TTL, random=os.urandom)).ring
    assert three.newest.epoch == 2
    assert await load_or_create(store, path=None, now=NOW, random=os.urandom) == three
    await store.close()


async def test_two_servers_that_race_to_make_the_ring_get_the_same_one(tmp_path):
    store = await EmbeddedStore.open(tmp_path / "store.db")
    rings = await asyncio.gather(
        *(load_or_create(store, path=None, now=NOW, random=os.urandom) for _ in range(5))
    )
    assert len({ring.newest.master for ring in rings}) == 1
    rotations = await asyncio.gather(
        *(rotate_stored(store, now=NOW, overlap_s=TTL, random=os.urandom) for _ in range(2))
    )
    stored = await load_or_create(store, path=None, now=NOW, random=os.urandom)
    masters = [epoch.master for epoch in stored.epochs]
    assert masters[0] == rings[0].newest.master
    assert all(one.ring.newest.master in masters[1:] for one in rotations)
    await store.close()


async def test_a_ring_in_a_file_leaves_the_store_alone(tmp_path):
    store = await EmbeddedStore.open(tmp_path / "store.db")
    path = tmp_path / "ring.json"
    path.write_bytes(encode_ring(RING))
    path.chmod(0o600)
    assert await load_or_create(store, path=path, now=NOW, random=os.urandom) == RING
    assert await store.get(keys.KEY_RING) is None
    await store.close()


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (encode_ring(RING), 0o644, "chmod 600"),
        (b"{}", 0o600, "not a key ring"),
        (b'{"epochs":[]}', 0o600, "holds no key"),
        (encode_ring(RING).replace(b'"master":"', b'"master":"AAA'), 0o600, "32-byte"),
    ],
)
def test_a_bad_key_file_is_refused(tmp_path, content, mode, said):
    path = tmp_path / "ring.json"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(InvalidInput, match=said):
        read_ring(path)


@pytest.mark.parametrize(
    ("client_id", "said"),
    [
        ("", "empty"),
        ("a" * 129, "129 bytes"),
        ("é" * 65, "130 bytes"),
        ("a/b", "'/'"),
        ("a\x00b", "U\\+0000"),
        ("a\u0085b", "U\\+0085"),
        ("a\ud800b", "U\\+D800"),
    ],
)
def test_client_ids_that_are_not_allowed(client_id, said):
    with pytest.raises(InvalidInput, match=said):
        check_client_id(client_id)


@pytest.mark.parametrize("client_id", ["a", "A b", "ünï-çødé", "a" * 128, '"quoted"', "日本"])
def test_client_ids_that_are(client_id):
    assert check_client_id(client_id) == client_id


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a_b", "a" * 64, "a/b", "a\n"])
def test_slugs_that_are_not(name):
    with pytest.raises(InvalidInput, match="not a valid name"):
        check_slug(name, "unit_id")
