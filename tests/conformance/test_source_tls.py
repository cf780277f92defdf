"""Over TLS: a certificate that nobody vouches for is refused, one of a named authority is taken."""

from __future__ import annotations

import datetime
import io
import ipaddress
import ssl
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conformance.organization import KEY, PICTURE, World, document, in_time, organization_at
from workers.credentials import Credentials
from workers.failures import Throttled
from workers.sources import Sources


def certify(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for this machine that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


def test_certificates(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown authority only makes imports wait, saying why; REQUESTS_CA_BUNDLE names one's own."""
    certificate, key = certify(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    record_id = world.add()
    plain = world.url
    world.server.socket = context.wrap_socket(world.server.socket, server_side=True)
    url = plain.replace("http://", "https://")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    unknown = organization_at(url)
    with pytest.raises(Throttled) as caught:
        unknown.visit(record_id, deadline=in_time()).describe()
    assert (caught.value.code, caught.value.waiting_for) == (
        "salesforce_certificate",
        "salesforce_certificate",
    )
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nothing.pem"))
    with pytest.raises(Throttled) as caught:
        unknown.visit(record_id, deadline=in_time()).describe()
    assert caught.value.code == "salesforce_certificate"
    unknown.close()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    known = organization_at(url)
    visit = known.visit(record_id, deadline=in_time())
    assert visit.describe().id == record_id
    known.close()


def test_an_authority_of_ones_own_is_a_setting(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SALESFORCE_CA_FILE is heeded for login, row and body, whatever the environment names for other programs."""
    certificate, key = certify(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    record_id = world.add()
    world.server.socket = context.wrap_socket(world.server.socket, server_side=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    sources = Sources(credentials=Credentials([KEY]), api_version="65.0", ca_file=str(certificate))
    visit = sources.of(document(world.url.replace("http://", "https://"))).visit(
        record_id, deadline=in_time()
    )
    sink = io.BytesIO()
    visit.stream(visit.describe(), sink, max_bytes=1 << 24)
    assert sink.getvalue() == PICTURE
    sources.close()


def test_a_handshake_that_hangs_ends_with_the_deadline() -> None:
    """A server that takes the connection and says nothing of TLS is not waited for beyond the deadline."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = organization_at(f"https://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(Throttled) as caught:
            source.visit("00P4I00000zyw3eUAA", deadline=in_time(0.5)).describe()
        source.close()
    assert caught.value.waiting_for == "salesforce"
