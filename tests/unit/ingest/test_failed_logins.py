"""Guessing is slowed down, and costs nobody a good credential."""

from __future__ import annotations

import base64

import pytest

from ingest.errors import TooManyRequestsError
from ingest.failed_logins import WINDOW_SECONDS, FailedLogins, network_of
from tests.doors import Door

PATH = "/api/v1/imports/f76cd9d7-859d-4d3b-b65e-d4817dc96f58"
PASSWORD = "nine-wide-Rivers"


def basic(password: str) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(f"operator:{password}".encode()).decode()


def test_bad_tokens_beyond_the_limit_are_told_to_wait_and_good_ones_never() -> None:
    """401 three times, then 429 with Retry-After and a closed connection; the good token passes all the while."""
    with Door(failed_logins_per_peer=3) as door:
        answers = [door.call("GET", PATH, token="guess") for _ in range(5)]
        assert [answer.status for answer in answers] == [401] * 3 + [429] * 2
        assert answers[-1].json()["code"] == "too_many_requests"
        assert 0 < int(answers[-1]["retry-after"] or 0) <= WINDOW_SECONDS
        assert answers[-1]["connection"] == "close"
        assert door.call("GET", PATH).status == 404, "known and served: there is only no such import"
        assert door.call("GET", PATH, token="guess", peer="192.0.2.7").status == 401, "another peer"


def test_guesses_at_the_operator_s_password_count_with_them() -> None:
    """The right password is served however many wrong ones came before; no password at all is no guess."""
    with Door(operator_password=PASSWORD, failed_logins_per_peer=2) as door:
        for _ in range(10):
            assert door.call("GET", "/metrics", token=None).status == 401
        statuses = [
            door.call("GET", "/metrics", token=None, headers=[basic(f"guess {n}")]).status for n in range(4)
        ]
        assert statuses == [401, 401, 429, 429]
        assert door.call("GET", "/metrics", token=None, headers=[basic(PASSWORD)]).status == 200


def test_all_peers_together_have_a_limit() -> None:
    """Guesses from many addresses are slowed down too."""
    with Door(failed_logins=3) as door:
        statuses = [door.call("GET", PATH, token="guess", peer=f"192.0.2.{n}").status for n in range(5)]
        assert statuses == [401] * 3 + [429] * 2
        assert door.call("GET", PATH).status == 404


def test_the_count_begins_anew_each_minute_and_no_address_stays_in_memory() -> None:
    """A window later everything is as at first."""
    now = [100.0]
    failed = FailedLogins(per_peer=1, of_all=50, clock=lambda: now[0])
    failed.count(("192.0.2.1", 1))
    with pytest.raises(TooManyRequestsError):
        failed.count(("192.0.2.1", 2))
    for number in range(1_000):
        try:
            failed.count((f"198.51.100.{number}", 1))
        except TooManyRequestsError:
            continue
    assert len(failed._by_network) <= 50
    now[0] += WINDOW_SECONDS
    failed.count(("192.0.2.1", 3))
    assert len(failed._by_network) == 1


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_a_host_cannot_choose_another_count(host: str, network: str) -> None:
    """All addresses of a network of version 6 that one host may have are one peer."""
    assert network_of(host) == network
