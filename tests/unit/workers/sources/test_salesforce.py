"""The pure parts of the Salesforce source: what a refusal says, which hosts are allowed, what is kept open."""

from __future__ import annotations

import errno
from datetime import UTC, datetime

import pytest
import requests
import urllib3.exceptions as wire
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.organization import KEY, document
from workers.credentials import Credentials
from workers.failures import Throttled
from workers.sources import Sources
from workers.sources.salesforce.answers import Refusal, refusal, retry_after
from workers.sources.salesforce.origins import Origin, OriginError
from workers.sources.salesforce.standing import RECENT_SECONDS, Standing
from workers.sources.salesforce.verdicts import of_break, of_refusal

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("86400", 3600),
        ("9" * 400, 3600),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ("soon", None),
        ("-5", None),
        ("²", None),
        ("Sun, 01 Mar 2026 12:01:30", None),
        (None, None),
    ],
)
def test_a_named_wait_is_read_and_bounded(text: str | None, seconds: float | None) -> None:
    """Seconds or an HTTP date count from now, an hour at most; anything else counts as not named."""
    assert retry_after(text, now=NOW) == seconds


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b'[{"message": "No", "errorCode": "A_B", "fields": []}]', "A_B", "no"),
        (b'{"message": "No", "errorCode": "a_b"}', "A_B", "no"),
        (b'{"error": "invalid_grant", "error_description": "Bad"}', "INVALID_GRANT", "bad"),
        (b'{"error": "invalid_grant"}', "INVALID_GRANT", ""),
        (b'[{"errorCode": 7, "message": null}]', "", ""),
        (b"[]", "", ""),
        (b"[[]]", "", ""),
        (b"<html>", "", ""),
        (b"\xff\xfe", "", ""),
        (b"[" * 100_000, "", ""),
    ],
)
def test_every_shape_of_an_error_is_read(body: bytes, code: str, says: str) -> None:
    """A list, a bare object and an OAuth error are understood; what is none of them says nothing."""
    assert refusal(400, {}, body, now=NOW) == Refusal(400, code, says, None)


@given(status=st.integers(100, 999), code=st.text(max_size=40), says=st.text(max_size=40))
def test_every_refusal_has_a_verdict(status: int, code: str, says: str) -> None:
    """The table has a row for whatever comes, and no verdict repeats what was said."""
    verdict = of_refusal(Refusal(status, code + "planted-code", says + "planted-text"))
    assert isinstance(verdict, Exception)
    assert "planted" not in str(verdict)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("https://Acme.My.Salesforce.com:443/path?query", "https://acme.my.salesforce.com"),
        ("https://acme.example:8443/", "https://acme.example:8443"),
        ("http://127.0.0.1:20080", "http://127.0.0.1:20080"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_origin_is_scheme_and_host(url: str, origin: str) -> None:
    """Path, query and letter case are dropped, and the port where it is the scheme's own."""
    assert Origin.of(url).url == origin


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.my.salesforce.com",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "https://user:pass@acme.example",
        "https://127.0.0.1:20080@evil.example",
        "ftp://acme.example",
        "acme.my.salesforce.com",
        "https://",
        "https://acme.example:port",
        "https://acme example",
        "https://аcme.example",  # noqa: RUF001 - the first letter is Cyrillic
        "",
    ],
)
def test_other_urls_are_refused_without_being_repeated(url: str) -> None:
    """Plain http to another machine, credentials in a URL and look-alikes are no origin."""
    with pytest.raises(OriginError) as caught:
        Origin.of(url)
    assert len(url) < 9 or url not in str(caught.value)


def test_an_organization_is_opened_once_per_version() -> None:
    """The same credentials share a source; a new version, or a document that was corrected, makes another."""
    sources = Sources(credentials=Credentials([KEY]), api_version="65.0")
    first = sources.of(document("https://acme.my.salesforce.com"))
    assert sources.of(document("https://acme.my.salesforce.com")) is first
    assert sources.of(document("https://acme.my.salesforce.com", version=2)) is not first
    sources.close()


def test_few_organizations_stay_open() -> None:
    """Beyond the bound the one unused for longest is closed, and opened anew when it is asked for."""
    sources = Sources(credentials=Credentials([KEY]), api_version="65.0", keep=2)
    one, two, three = ({**document("https://acme.my.salesforce.com"), "_id": name} for name in "abc")
    first, second = sources.of(one), sources.of(two)
    assert sources.of(one) is first
    sources.of(three)
    assert sources.of(one) is first
    assert sources.of(two) is not second
    sources.close()


@pytest.mark.parametrize(
    "change",
    [
        {"login_url": "http://acme.example"},
        {"login_url": None},
        {"instance_url": "http://acme.example"},
        {"client_id": ""},
        {"secret": "not encrypted"},
        {"api_version": "v65"},
        {"api_version": "65.0/../.."},
        {"type": "dropbox"},
    ],
)
def test_settings_that_cannot_be_used_make_imports_wait(change: dict[str, object]) -> None:
    """A person can mend the organization, so nothing fails; what cannot be used is never spoken to."""
    organization = document("https://acme.my.salesforce.com")
    organization["source"].update(change)
    sources = Sources(credentials=Credentials([KEY]), api_version="65.0")
    with pytest.raises(Throttled) as caught:
        sources.of(organization)
    assert caught.value.waiting_for == "salesforce_credentials"
    assert (
        "imports organization update" in caught.value.detail
        or "write it as" in caught.value.detail
        or ("must" in caught.value.detail)
    )


def test_an_old_success_proves_nothing() -> None:
    """Half a minute after the last success the organization is asked whether it still answers."""
    now = [0.0]
    standing = Standing(lambda: now[0])
    asked: list[bool] = []

    def answers() -> bool:
        asked.append(True)
        return False

    standing.succeeded()
    assert standing.others_succeed("a", answers=answers)
    assert asked == []
    now[0] = RECENT_SECONDS + 1
    assert not standing.others_succeed("a", answers=answers)
    assert asked == [True]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_worker_without_a_descriptor_blames_itself(number: int) -> None:
    """A socket that this process cannot open counts no attempt and closes nobody's gate, however it is wrapped."""
    own = OSError(number, "Too many open files")
    new = wire.NewConnectionError(None, "Failed to establish a new connection")  # type: ignore[arg-type]
    new.__cause__ = own
    for error in (own, requests.ConnectionError(new), wire.ProtocolError("Connection aborted.", own)):
        verdict = of_break(error)
        assert isinstance(verdict, Throttled)
        assert (verdict.code, verdict.scope, verdict.waiting_for) == ("spool_unavailable", "store", "spool")
