"""TLS between both clients and a server with a certificate of its own."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import homeport
from homeport import Tls
from tests.support.fakes.provisioning_service import FakeProvisioning
from tests.support.fakes.server import Served, serving


def certificate_for(name: str) -> tuple[bytes, bytes]:
    """Key and self-signed certificate, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, certificate.public_bytes(Encoding.PEM)


KEY, CERTIFICATE = certificate_for("homeport.test")


@pytest.fixture
def tls_server() -> Iterator[Served]:
    credentials = grpc.ssl_server_credentials([(KEY, CERTIFICATE)])
    with serving(FakeProvisioning(), credentials=credentials) as served:
        yield served


async def test_a_server_whose_certificate_is_trusted_is_asked(connect, tls_server):
    tls = Tls(root_certificates=CERTIFICATE, server_name="homeport.test")
    home = await connect(tls_server.address, tls=tls).provision("phone")
    assert home.unit_id == "unit-0"


@pytest.mark.parametrize(
    "tls",
    [
        pytest.param(True, id="its certificate is not among gRPC's roots"),
        pytest.param(
            Tls(root_certificates=CERTIFICATE, server_name="other.test"), id="it is somebody else"
        ),
        pytest.param(False, id="the client does not use TLS"),
    ],
)
async def test_a_server_that_cannot_be_trusted_is_unavailable(connect, tls_server, tls):
    with pytest.raises(homeport.Unavailable, match="both sides use TLS"):
        await connect(tls_server.address, tls=tls).provision("phone")
    assert tls_server.provisioning.seen == []


async def test_a_client_may_show_a_certificate_of_its_own(connect):
    client_key, client_certificate = certificate_for("phone.test")
    credentials = grpc.ssl_server_credentials(
        [(KEY, CERTIFICATE)], root_certificates=client_certificate, require_client_auth=True
    )
    with serving(FakeProvisioning(), credentials=credentials) as server:
        tls = Tls(
            root_certificates=CERTIFICATE,
            private_key=client_key,
            certificate_chain=client_certificate,
            server_name="homeport.test",
        )
        home = await connect(server.address, tls=tls).provision("phone")
    assert home.unit_id == "unit-0"


@pytest.mark.parametrize("half", [{"private_key": KEY}, {"certificate_chain": CERTIFICATE}])
def test_half_a_certificate_is_an_error_at_once(half):
    with pytest.raises(ValueError, match="belong together"):
        Tls(root_certificates=CERTIFICATE, **half)


def test_certificates_may_be_files(tmp_path):
    (tmp_path / "ca").write_bytes(CERTIFICATE)
    (tmp_path / "key").write_bytes(KEY)
    whole = Tls.from_files(
        tmp_path / "ca", certificate=str(tmp_path / "ca"), key=tmp_path / "key", server_name="x"
    )
    assert whole == Tls(
        root_certificates=CERTIFICATE,
        private_key=KEY,
        certificate_chain=CERTIFICATE,
        server_name="x",
    )
    assert Tls.from_files() == Tls()
    with pytest.raises(OSError, match="nowhere"):
        Tls.from_files(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="belong together"):
        Tls.from_files(certificate=tmp_path / "ca")
