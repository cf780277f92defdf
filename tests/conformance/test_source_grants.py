"""Every way of logging in that an organization may have works, and a token goes to no host but its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce, format_soql

from tests.conformance.organization import KEY, PICTURE, SECRET, World, document, in_time
from workers.credentials import Credentials
from workers.failures import Throttled
from workers.sources import Sources
from workers.sources.salesforce.logins import instance_of
from workers.sources.salesforce.origins import Origin, may_follow

USER = {"username": "integration@acme.example", "password": "pass & <word>", "security_token": "to<ken&"}
KEY_PAIR = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY_PAIR.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC = KEY_PAIR.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
PASSWORDS = {"password": USER["password"], "security_token": USER["security_token"]}
WAYS: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("client_credentials", {}, {}),
    ("jwt_bearer", {"username": USER["username"]}, {"private_key": PRIVATE}),
    ("refresh_token", {}, {"refresh_token": "5Aep861"}),
    ("password", {"username": USER["username"]}, PASSWORDS),
    ("soap", {"username": USER["username"]}, PASSWORDS),
]
named = pytest.mark.parametrize(("grant", "fields", "secrets"), WAYS, ids=[way[0] for way in WAYS])


@pytest.fixture
def org(world: World) -> Iterator[World]:
    world.control(
        "POST",
        "clients",
        {"client_id": "sandbox", "public_key": PUBLIC.decode(), "refresh_token": "5Aep861"},
    )
    world.control("POST", "users", USER)
    yield world
    world.sources.close()


def organization(
    world: World, grant: str, fields: dict[str, str], secrets: dict[str, str], **more: Any
) -> Any:
    """Open an organization as a worker does, from its document."""
    kept = {name: Credentials([KEY]).encrypt(text) for name, text in secrets.items()}
    return Sources(credentials=Credentials([KEY]), api_version="66.0").of(
        document(world.url, grant=grant, secrets=kept, **fields, **more)
    )


@named
def test_each_way_of_logging_in_brings_a_picture(
    org: World, grant: str, fields: dict[str, str], secrets: dict[str, str]
) -> None:
    """One login, then row and body; the SOAP session is spoken to in the last version that had such logins."""
    record_id = org.add()
    source = organization(org, grant, fields, secrets)
    visit = source.visit(record_id, deadline=in_time())
    assert visit.describe().size == len(PICTURE)
    assert org.logins == 1
    source.close()
    rows = [call["path"] for call in org.control("GET", "calls") if "/sobjects/" in call["path"]]
    assert rows[0].startswith("/services/data/v64.0/" if grant == "soap" else "/services/data/v66.0/")


@named
def test_wrong_credentials_wait_for_a_person(
    org: World, grant: str, fields: dict[str, str], secrets: dict[str, str]
) -> None:
    """Whatever the shape of the refusal, a SOAP fault with status 500 included, imports wait and none fails."""
    wrong = {name: "wrong" for name in secrets if name != "private_key"}
    other = {"username": "nobody@acme.example"} if grant == "jwt_bearer" else {}
    if grant == "client_credentials":
        other = {"secret": Credentials([KEY]).encrypt("wrong")}
    source = organization(org, grant, {**fields, **other}, {**secrets, **wrong})
    for _ in range(3):
        with pytest.raises(Throttled) as caught:
            source.visit(org.add(), deadline=in_time()).describe()
        assert (caught.value.code, caught.value.probe_after) == ("salesforce_credentials", 60)
    assert org.asked_to_log_in == 1
    source.close()


def test_a_key_that_is_none_waits_for_a_person(org: World) -> None:
    """A private key that cannot be read is no passing trouble."""
    source = organization(org, "jwt_bearer", {"username": USER["username"]}, {"private_key": "no key"})
    with pytest.raises(Throttled) as caught:
        source.visit(org.add(), deadline=in_time()).describe()
    assert caught.value.code == "salesforce_credentials"
    assert "--jwt-key" in caught.value.detail
    assert org.asked_to_log_in == 0
    source.close()


@pytest.mark.parametrize(
    ("grant", "fields"),
    [("jwt_bearer", {"username": "a"}), ("password", {"username": "a"}), ("soap", {}), ("telepathy", {})],
)
def test_what_a_login_lacks_is_told_before_it_is_tried(
    org: World, grant: str, fields: dict[str, str]
) -> None:
    """An organization without what its way of logging in needs waits, and nobody is asked."""
    with pytest.raises(Throttled) as caught:
        organization(org, grant, fields, {})
    assert caught.value.waiting_for == "salesforce_credentials"
    assert org.asked_to_log_in == 0


def test_a_login_that_comes_too_often_waits_an_hour(org: World) -> None:
    """The vendor's own count of logins is respected."""
    org.control("PUT", "sessions", {"logins_an_hour": 0})
    with pytest.raises(Throttled) as caught:
        org.fetch(org.add())
    assert (caught.value.waiting_for, caught.value.probe_after) == ("salesforce_login_limit", 3600)


def test_an_organization_that_moved_is_followed(org: World, tmp_path: Any) -> None:
    """The login names the new instance, which is then asked; the old one is asked no more."""
    record_id = org.add()
    new = World(tmp_path / "new")
    try:
        moved_id = new.add()
        assert moved_id == record_id
        new.server.api.sessions = org.server.api.sessions  # one organization, two hosts
        org.control("PUT", "sessions", {"instance_url": new.url})
        assert org.fetch(record_id)[1] == PICTURE
        assert org.server.api.calls["row"] == 0
        assert new.server.api.calls["row"] == 1
    finally:
        new.close()


def test_no_token_goes_to_a_foreign_host(org: World) -> None:
    """A login's answer that names a third host is not believed: the token stays where it was got."""
    record_id = org.add()
    org.control("PUT", "sessions", {"instance_url": "https://evil.example"})
    assert org.fetch(record_id)[1] == PICTURE
    assert org.server.api.calls["row"] == 1


def test_a_host_that_the_library_would_misspell_is_given_apart(org: World) -> None:
    """simple-salesforce takes `-api` out of the host of a SOAP login; an instance that is named is used as it is."""
    record_id = org.add()
    secrets = {"password": USER["password"], "security_token": USER["security_token"]}
    org.control("PUT", "sessions", {"instance_url": "http://acme-api.my.salesforce.com"})
    source = organization(org, "soap", {"username": USER["username"]}, secrets, instance_url=org.url)
    assert source.visit(record_id, deadline=in_time()).describe().size == len(PICTURE)
    source.close()


@pytest.mark.parametrize(
    ("login", "instance", "allowed"),
    [
        ("https://login.salesforce.com", "https://na139.salesforce.com", True),
        ("https://login.salesforce.com", "https://acme.my.salesforce.com", True),
        ("https://acme.my.salesforce.com", "https://acme--dev.sandbox.my.salesforce.com", True),
        ("https://login.salesforce.com", "https://salesforce.com.evil.example", False),
        ("https://login.salesforce.com", "https://evilsalesforce.com", False),
        ("https://login.salesforce.com", "https://127.0.0.1", False),
        ("https://acme.example", "https://other.example", False),
        ("https://acme.example", "https://na139.salesforce.com", False),
        ("http://127.0.0.1:1", "http://127.0.0.1:2", True),
        ("http://127.0.0.1:1", "https://na139.salesforce.com", False),
    ],
)
def test_where_a_token_may_follow(login: str, instance: str, allowed: bool) -> None:
    """From the vendor to the vendor, on this machine from port to port, and nowhere else."""
    assert may_follow(Origin.of(login), Origin.of(instance)) is allowed


@pytest.mark.parametrize("host", ["login.salesforce.com", "evil.example", "", "na139.evil.example"])
def test_a_shared_login_host_holds_no_records(host: str) -> None:
    """Where everybody logs in nothing is asked with the token, whatever else the answer names."""
    with pytest.raises(Throttled) as caught:
        instance_of(Origin.of("https://login.salesforce.com"), host)
    assert caught.value.code == "salesforce_unavailable"
    assert (
        instance_of(Origin.of("https://login.salesforce.com"), "na1.salesforce.com").host
        == "na1.salesforce.com"
    )


class ToSimulation(HTTPAdapter):
    """Sends what is meant for https://anything to the simulation, so that the library needs no change."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = self.url + request.path_url
        return super().send(request, *args, **kwargs)


LIBRARY: dict[str, dict[str, str]] = {
    "client_credentials": {"consumer_key": "sandbox", "consumer_secret": SECRET, "domain": "acme.my"},
    "jwt_bearer": {"username": USER["username"], "consumer_key": "sandbox", "privatekey": PRIVATE},
    "password": {
        "username": USER["username"],
        "password": USER["password"] + USER["security_token"],
        "consumer_key": "sandbox",
        "consumer_secret": SECRET,
    },
    # The library does not escape the token for XML.
    "soap": {"username": "plain@acme.example", "password": "word", "security_token": "token"},
}


@pytest.mark.parametrize("way", LIBRARY)
def test_the_unmodified_library_works_against_the_simulation(org: World, way: str) -> None:
    """The simulation speaks the vendor's shapes: simple-salesforce logs in, queries, pages and reads bodies."""
    record_id = org.add(name="a.png")
    org.control("POST", "users", {**LIBRARY["soap"]})
    with requests.Session() as session:
        session.mount("https://", ToSimulation(org.url))
        client = Salesforce(session=session, version="64.0", **LIBRARY[way])
        found = client.query(format_soql("SELECT Id, Name FROM Attachment WHERE Id = {}", record_id))
        assert (found["totalSize"], found["records"][0]["Name"]) == (1, "a.png")
        assert client.Attachment.get(record_id)["BodyLength"] == len(PICTURE)
        assert client.Attachment.get_base64(record_id) == PICTURE
        assert client.limits()["DailyApiRequests"]["Max"] == 100_000
        assert client.api_usage["api-usage"].total == 100_000
