"""The Authorization header is read with the original's leniency, and every refusal is the same one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import tokens
from ingest.auth import USER_SECONDS, Authenticator, Identity, token_of
from ingest.errors import UnauthenticatedError

SECRET = "a secret that has at least 32 bytes"
USER = "f76cd9d7-859d-4d3b-b65e-d4817dc96f58"
ORGANIZATION = "91e4e020-bd76-4615-baf0-63263c5f3416"

TAKEN = [
    'Token token="abc"',
    "Token token=abc",
    'Token "abc"',
    "Token abc",
    "Bearer abc",
    'bearer token="abc"',
    "TOKEN abc",
    "Token  \t abc",
    'Token token="abc',
    'Token token=abc"',
    'Token token="abc", nonce="def"',
    "Token abc,def",
    "Token abc ; def",
    "Token abc\tdef",
    'Token token="abc"\t,;x',
    "Token abc, Token other",
]

READ_AS_SOMETHING_ELSE = {
    'Token nonce="x", token="abc"': 'nonce="x',
    "Token token='abc'": "'abc'",
    'Token token="abc"def': 'abc"def',
    'Token token = "abc"': 'token = "abc',
    'Token token= "abc"': ' "abc',
    'Token TOKEN="abc"': 'TOKEN="abc',
    'Token ""abc""': '"abc"',
    "Token token==abc": "=abc",
    "Token token=token=abc": "token=abc",
    "Token abc def": "abc def",
    "Token abc\u00a0,": "abc\u00a0",
}

REFUSED = [
    None,
    "",
    "abc",
    "Token",
    "Token ",
    "Bearer\t",
    "Tokenabc",
    "Token=abc",
    "Token,abc",
    " Token abc",
    "Basic abc",
    "Digest token=abc",
    "XToken abc",
    "Token\u00a0abc",
    "Token ,abc",
    "Token ;abc",
    "Token token=",
    'Token ""',
    'Token "',
    'Token token=""',
]


@pytest.mark.parametrize("authorization", TAKEN)
def test_every_form_that_clients_send_holds_the_token(authorization: str) -> None:
    """Either scheme in any letters, with or without `token=`, quotes and options."""
    assert token_of(authorization) == "abc"


@pytest.mark.parametrize(("authorization", "token"), READ_AS_SOMETHING_ELSE.items())
def test_forms_that_the_original_misread_are_not_mended(authorization: str, token: str) -> None:
    """They yield a text that is no token, so that they fail as they always have."""
    assert token_of(authorization) == token


@pytest.mark.parametrize("authorization", REFUSED)
def test_headers_without_a_token_are_refused(authorization: str | None) -> None:
    """Absent, another scheme, or nothing where the token should be."""
    with pytest.raises(UnauthenticatedError):
        token_of(authorization)


@settings(deadline=None)
@given(
    st.tuples(
        st.from_regex(r"[A-Za-z0-9_.\-]+", fullmatch=True),
        st.sampled_from(["Token", "Bearer", "tOKEN"]),
        st.from_regex(r"[ \t]+", fullmatch=True),
        st.sampled_from(["", "token="]),
        st.sampled_from(["", '"']),
        st.sampled_from(["", '"']),
        st.from_regex(r"( *[,;\t].*)?", fullmatch=True),
    )
)
def test_any_mix_of_the_optional_parts_yields_the_token(parts: tuple[str, ...]) -> None:
    """Scheme, spaces, `token=`, either quote and any options are independent of each other."""
    token, scheme, spaces, name, opening, closing, options = parts
    assert token_of(f"{scheme}{spaces}{name}{opening}{token}{closing}{options}") == token


@settings(deadline=None)
@given(st.text() | st.text().map("Token ".__add__))
def test_no_header_raises_anything_but_the_refusal(authorization: str) -> None:
    """Whatever arrives is a text or the one refusal."""
    try:
        token = token_of(authorization)
    except UnauthenticatedError:
        return
    assert token


def test_a_very_long_header_is_read_in_one_pass() -> None:
    """A megabyte of spaces, quotes or separators ends like a short one (it would take minutes otherwise)."""
    for filling in (" ", '"', ",", "\t", " ,"):
        header = "Token abc" + filling * (1_000_000 // len(filling)) + "x"
        assert token_of(header).startswith("abc")


@dataclass
class Known:
    id: str
    organization_id: str
    gate: None = None


class World:
    """A clock that stands, and a list of users that can be emptied."""

    def __init__(self) -> None:
        self.now = 1554745137.0
        self.users = {USER: Known(USER, ORGANIZATION)}
        self.asked: list[str] = []
        self.elapsed = 50.0
        self.authenticator = Authenticator(
            find_user=self.find, secrets=[SECRET], clock=lambda: self.now, elapsed=lambda: self.elapsed
        )

    async def find(self, user_id: str) -> Known | None:
        self.asked.append(user_id)
        return self.users.get(user_id)

    def user(self, authorization: str | None) -> Identity:
        return asyncio.run(self.authenticator.user(authorization))

    def header(self, user_id: str = USER, *, lifetime: int = 60) -> str:
        return f'Token token="{tokens.mint(user_id, secret=SECRET, now=self.now, lifetime=lifetime)}"'


def test_the_identity_is_the_user_s_own() -> None:
    """The organization comes from the user, never from the request; ids are looked up in lower case."""
    world = World()
    identity = world.user(world.header(USER.upper()))
    assert (identity.user_id, identity.organization_id) == (USER, ORGANIZATION)
    assert world.asked == [USER]


def test_a_disabled_user_is_refused_after_a_second_at_most() -> None:
    """Token and user are remembered; the user for a second from when it was asked for, and no longer."""
    world = World()
    header = world.header()
    for _ in range(5):
        world.user(header)
    assert world.asked == [USER]
    del world.users[USER]
    world.elapsed += USER_SECONDS - 0.001
    world.user(header)
    world.elapsed += 0.001
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            world.user(header)
    assert len(world.asked) == 3, "one that may not act is asked for each time, so that it may again at once"


def test_many_requests_of_a_user_ask_once_and_one_that_gives_up_takes_the_answer_from_none() -> None:
    """A hundred at once are one question, which goes on when the first of them is canceled."""
    world = World()
    header = world.header()

    async def scenario() -> None:
        free = asyncio.Event()

        async def find(user_id: str) -> Known | None:
            world.asked.append(user_id)
            await free.wait()
            return world.users.get(user_id)

        authenticator = Authenticator(find_user=find, secrets=[SECRET], clock=lambda: world.now)
        asking = [asyncio.create_task(authenticator.user(header)) for _ in range(100)]
        await asyncio.sleep(0.01)
        asking[0].cancel()
        await asyncio.sleep(0.01)
        free.set()
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert {one.user_id for one in found[1:] if isinstance(one, Identity)} == {USER}

    asyncio.run(scenario())
    assert world.asked == [USER]


def test_a_question_that_nobody_waits_for_any_more_leaves_the_next_one_its_own() -> None:
    """A store that fails, or a loop that ends, while a user is looked up is asked again by the next request."""
    world = World()
    outcome: list[Exception] = [ConnectionError()]

    async def find(user_id: str) -> Known | None:
        world.asked.append(user_id)
        if outcome:
            raise outcome.pop()
        return world.users.get(user_id)

    authenticator = Authenticator(find_user=find, secrets=[SECRET], clock=lambda: world.now)
    with pytest.raises(ConnectionError):
        asyncio.run(authenticator.user(world.header()))
    assert asyncio.run(authenticator.user(world.header())).user_id == USER
    assert not authenticator._asking


def test_a_remembered_token_expires_in_its_second() -> None:
    """Remembering skips the signature, never the dates."""
    world = World()
    header = world.header(lifetime=60)
    world.now += 59.9
    world.user(header)
    world.now += 0.1
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            world.user(header)


def test_a_bad_token_asks_no_store_and_is_not_remembered() -> None:
    """Guesses cost the store nothing, and the memory of tokens holds proven ones only."""
    world = World()
    for header in (None, "Token abc", world.header()[:-4] + 'AAA"', world.header("admin")):
        with pytest.raises(UnauthenticatedError):
            world.user(header)
    assert world.asked == []
    assert not world.authenticator._verified


def test_the_memory_of_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least used is forgotten first, and verifies again all the same."""
    monkeypatch.setattr("ingest.auth._REMEMBERED", 2)
    world = World()
    headers = [world.header(lifetime=60 + extra) for extra in range(3)]
    for header in (headers[0], headers[1], headers[0], headers[2], headers[1]):
        assert world.user(header).user_id == USER
    assert len(world.authenticator._verified) == 2


def test_a_store_that_is_away_is_not_a_refusal() -> None:
    """What the lookup raises passes through: nobody is told that a good token is bad."""
    world = World()

    async def away(_user_id: str) -> Known | None:
        raise ConnectionError

    authenticator = Authenticator(find_user=away, secrets=[SECRET], clock=lambda: world.now)
    with pytest.raises(ConnectionError):
        asyncio.run(authenticator.user(world.header()))


def test_the_renewed_token_is_the_sent_one_within_its_second_and_a_later_one_after() -> None:
    """X-token, signed with the first secret."""
    world = World()
    header = world.header()
    identity = world.user(header)
    assert world.authenticator.renewed(identity) == token_of(header)
    world.now += 30
    later = tokens.verify(
        world.authenticator.renewed(identity), secrets=[SECRET], now=world.now, require_expiry=True
    )
    assert later.expires_at == 1554745137 + 30 + 60
