"""Tokens are HS256 and nothing else: what is minted verifies, what is not ours is refused, and never with a 500."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import tokens
from common.tokens import InvalidTokenError

SECRET = "the platform's secret, 32 bytes or more"
OLDER = "the secret before it, 32 bytes or more"
USER = "f76cd9d7-859d-4d3b-b65e-d4817dc96f58"
NOW = 1554745137
SEED = (
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJleHAiOjE1NTQ3NTk1MzcsImlhdCI6MTU1NDc0NTEzNywidXNlcl9pZCI6ImY3NmNkOWQ3"
    "LTg1OWQtNGQzYi1iNjVlLWQ0ODE3ZGM5NmY1OCJ9.lGdKEApIZJj2cjQ7KYLtokP3cOkE18o-TEG5Tg7E3-0"
)
GOOD: dict[str, Any] = {"exp": NOW + 60, "iat": NOW, "user_id": USER}
HEADER = '{"typ":"JWT","alg":"HS256"}'


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def made(claims: Any = None, *, header: Any = HEADER, secret: str = SECRET, digest: str = "sha256") -> str:
    """Sign anything, without the code under test: claims and header as values or as JSON text."""
    parts = [
        part if isinstance(part, str) else json.dumps(part)
        for part in (header, GOOD if claims is None else claims)
    ]
    signed = ".".join(b64(part.encode()) for part in parts)
    return f"{signed}.{b64(hmac.new(secret.encode(), signed.encode(), digest).digest())}"


def verify(token: str, *, now: float = NOW, require_expiry: bool = True) -> tokens.Claims:
    return tokens.verify(token, secrets=(SECRET, OLDER), now=now, require_expiry=require_expiry)


def with_claims(**changes: Any) -> str:
    return made({**GOOD, **changes})


def without(claim: str) -> str:
    return made({name: value for name, value in GOOD.items() if name != claim})


REFUSED: dict[str, str] = {
    # the algorithm
    **{
        f"alg {name}": f"{b64(json.dumps({'typ': 'JWT', 'alg': name}).encode())}.{b64(json.dumps(GOOD).encode())}.{end}"
        for name in ("none", "None", "NONE", "nOnE")
        for end in ("", b64(b"x"))
    },
    "alg none, signed": made(header={"typ": "JWT", "alg": "none"}),
    "HS384 label and digest": made(header={"typ": "JWT", "alg": "HS384"}, digest="sha384"),
    "HS512 label and digest": made(header={"typ": "JWT", "alg": "HS512"}, digest="sha512"),
    "HS512 label only": made(header={"typ": "JWT", "alg": "HS512"}),
    "RS256 label": made(header={"typ": "JWT", "alg": "RS256"}),
    "ES256 label": made(header={"typ": "JWT", "alg": "ES256"}),
    "lower-case label": made(header={"typ": "JWT", "alg": "hs256"}),
    "no alg": made(header={"typ": "JWT"}),
    "alg a list": made(header={"alg": ["HS256"]}),
    "alg a number": made(header={"alg": 1}),
    "alg null": made(header={"alg": None}),
    "alg twice": made(header='{"alg":"none","alg":"HS256"}'),
    "header a list": made(header='["HS256"]'),
    "header no JSON": made(header="HS256"),
    # the key
    "another secret": made(secret="another secret of at least 32 bytes!"),
    "an empty secret": made(secret=""),
    "a guessable secret": made(secret="secret"),
    **{
        f"header {name}": made(header={"typ": "JWT", "alg": "HS256", name: value})
        for name, value in {
            "jwk": {"kty": "oct", "k": b64(b"k" * 32)},
            "jku": "http://127.0.0.1:9/keys.json",
            "x5u": "http://127.0.0.1:9/key.pem",
            "x5c": ["MIIB"],
            "crit": ["exp"],
            "b64": False,
            "zip": "DEF",
        }.items()
    },
    "crit b64": made(header={"alg": "HS256", "b64": True, "crit": ["b64"]}),
    "crit empty": made(header={"alg": "HS256", "crit": []}),
    "kid a path": made(header={"alg": "HS256", "kid": "../../../../dev/null"}),
    "kid a query": made(header={"alg": "HS256", "kid": "x' UNION SELECT 'key"}),
    "kid a list": made(header={"alg": "HS256", "kid": ["x"]}),
    # the claims
    "no exp": without("exp"),
    **{
        f"exp {value!r}": with_claims(exp=value)
        for value in (
            [NOW + 60],
            {"a": 1},
            True,
            str(NOW + 60),
            None,
            NOW,
            NOW - 1,
            0,
            -1,
            NOW - 0.5,
            2**63,
            10**400,
        )
    },
    "exp 1e400": made(f'{{"exp":1e400,"user_id":"{USER}"}}'),
    "exp NaN": made(f'{{"exp":NaN,"user_id":"{USER}"}}'),
    "exp Infinity": made(f'{{"exp":Infinity,"user_id":"{USER}"}}'),
    "exp 5,000 digits": made(f'{{"exp":{"9" * 5_000},"user_id":"{USER}"}}'),
    "exp twice": made(f'{{"exp":1,"exp":{NOW + 60},"user_id":"{USER}"}}'),
    **{
        f"nbf {value!r}": with_claims(nbf=value)
        for value in (NOW + 1, NOW + 0.5, [NOW], True, "0", None, 2**63)
    },
    "no user_id": without("user_id"),
    **{
        f"user_id {value!r}": with_claims(user_id=value)
        for value in (
            None,
            True,
            7,
            [USER],
            {"$ne": None},
            {"$gt": ""},
            "",
            "admin",
            USER[:-1],
            USER + "0",
            USER + "\n",
            " " + USER,
            USER.replace("-", ""),
            "{" + USER + "}",
            "urn:uuid:" + USER,
            USER.replace("7", "\u0667"),
        )
    },
    **{f"iss {value!r}": with_claims(iss=value) for value in ("someone", "", None, ["x"], 7)},
    "claims a list": made([GOOD]),
    "claims a text": made('"x"'),
    "claims no JSON": made("{"),
    "claims empty": made("{}"),
    "half a surrogate": made(json.dumps(GOOD)[:-1] + ',"a":"\\ud800"}'),
    "deep": made(json.dumps(GOOD)[:-1] + ',"a":' + "[" * 33 + "]" * 33 + "}"),
    "deeper than Python reads": made("[" * 100_000),
    "header deeper than Python reads": made(header="[" * 100_000),
    # the shape
    "nothing": "",
    "one part": "abc",
    "two parts": "abc.def",
    "four parts": made() + ".x",
    "five parts, as encrypted ones have": "a.b.c.d.e",
    "no signature": made().rpartition(".")[0] + ".",
    "padding": made() + "=",
    "junk in the signature": made()[:-3] + "!" + made()[-3:],
    "a line break after it": made() + "\n",
    "a space before it": " " + made(),
    "not ASCII": made()[:-1] + "é",
    "not even Unicode": made() + "\udcff",
    "NUL": made() + "\0",
    "claims of another token": made().split(".")[0]
    + "."
    + b64(json.dumps(GOOD).encode())
    + "."
    + SEED.split(".")[2],
}


@pytest.mark.parametrize("token", REFUSED.values(), ids=list(REFUSED))
def test_what_is_not_ours_is_refused(token: str) -> None:
    """Each is the one InvalidTokenError, whose text says nothing of the token or the cause."""
    with pytest.raises(InvalidTokenError) as refusal:
        verify(token)
    assert str(refusal.value) == "The token is not valid."


@pytest.mark.parametrize("last", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
def test_a_signature_has_one_spelling(last: str) -> None:
    """Its last character has two spare bits; another one that decodes to the same bytes is refused."""
    token = made()
    if last == token[-1]:
        assert verify(token).user_id == USER
    else:
        with pytest.raises(InvalidTokenError):
            verify(token[:-1] + last)


@pytest.mark.parametrize(
    "token",
    [
        made(),
        made(secret=OLDER),
        made(header='{"alg":"HS256"}'),
        made(header={"alg": "HS256", "typ": "JWT", "kid": "key-2019.1", "cty": "x"}),
        with_claims(exp=NOW + 0.5),
        with_claims(nbf=NOW),
        with_claims(nbf=0),
        with_claims(iat=NOW + 9_999, aud=["x"], sub=7, jti=[]),
        with_claims(iat="x"),
        without("iat"),
        with_claims(user_id=USER.upper()),
    ],
)
def test_what_is_ours_is_taken(token: str) -> None:
    """Either secret, with or without `typ`, at the last moment; `iat`, `aud`, `sub` and `jti` are not judged."""
    assert verify(token).user_id == USER


def test_a_token_without_expiry_is_taken_only_where_that_is_allowed() -> None:
    """The original took it; an `exp` that is no date is refused in either case."""
    assert verify(without("exp"), require_expiry=False).expires_at is None
    with pytest.raises(InvalidTokenError):
        verify(with_claims(exp=None), require_expiry=False)


def test_a_token_holds_until_its_very_second() -> None:
    """No leeway: at `exp` it has expired, a moment earlier it has not."""
    token = made()
    assert verify(token, now=NOW + 59.999).hold(NOW + 59.999)
    with pytest.raises(InvalidTokenError):
        verify(token, now=NOW + 60)
    assert not verify(token).hold(NOW + 60)
    assert not verify(with_claims(nbf=NOW)).hold(NOW - 1)


def test_a_minted_token_has_the_seed_s_bytes() -> None:
    """Header and claims are the seed's, character for character; the signature is HMAC-SHA-256 of them."""
    token = tokens.mint(USER, secret=SECRET, now=NOW + 0.9)
    signed, _, signature = token.rpartition(".")
    assert signed == SEED.rpartition(".")[0]
    assert signature == b64(hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest())


def test_a_token_minted_this_second_is_renewed_to_itself() -> None:
    """As in the seed, where X-token repeats the token that was sent."""
    token = tokens.mint(USER, secret=SECRET, now=NOW)
    assert tokens.renew(verify(token), secret=SECRET, now=NOW + 0.4) == token


@pytest.mark.parametrize(
    ("token", "exp"),
    [
        (with_claims(exp=NOW + 60), NOW + 10 + 60),
        (with_claims(exp=NOW + 14_400), NOW + 10 + 14_400),
        (with_claims(exp=NOW + 99_999), NOW + 10 + 14_400),
        (with_claims(exp=2**62), NOW + 10 + 14_400),
        (with_claims(exp=NOW + 60, iat=NOW - 40), NOW + 10 + 100),
        (with_claims(exp=NOW + 60, iat="x"), NOW + 10 + 50),
        (with_claims(exp=NOW + 60, iat=10**400), NOW + 10 + 50),
        (with_claims(exp=NOW + 60, iat=NOW + 99), NOW + 10 + 50),
        (with_claims(exp=NOW + 60, iat=NOW + 59.5), NOW + 10 + 1),
        (without("iat"), NOW + 10 + 50),
        (without("exp"), NOW + 10 + 14_400),
    ],
)
def test_a_renewal_lasts_as_long_as_the_token_did_and_four_hours_at_most(token: str, exp: int) -> None:
    """`exp - iat` from now on; what is left counts where `iat` says nothing sensible."""
    renewed = tokens.renew(verify(token, require_expiry=False), secret=SECRET, now=NOW + 10)
    said = verify(renewed, now=NOW + 10).said
    assert (said["exp"], said["iat"]) == (exp, NOW + 10)


def test_a_renewal_keeps_every_other_claim_and_has_the_original_s_order() -> None:
    """Unknown claims stay as they are, numbers and letters included, behind those of the original."""
    claims = {
        "zeta": {"b": [1.5, None, 2**70], "a": "é<"},
        "user_id": USER,
        "abilities": ["x"],
        "jti": "1",
        **GOOD,
    }
    renewed = tokens.renew(verify(made({**claims, "storage": "s3"})), secret=SECRET, now=NOW)
    header, payload = (base64.urlsafe_b64decode(part + "==") for part in renewed.split(".")[:2])
    assert header.decode() == HEADER
    assert list(json.loads(payload)) == ["exp", "iat", "user_id", "storage", "abilities", "zeta", "jti"]
    assert '"zeta":{"b":[1.5,null,1180591620717411303424],"a":"é<"}'.encode() in payload


def test_the_first_secret_signs() -> None:
    """So that secrets can be rotated: put a new one first, drop the old one later."""
    claims = verify(made(secret=OLDER))
    renewed = tokens.renew(claims, secret=SECRET, now=NOW)
    assert tokens.verify(renewed, secrets=[SECRET], now=NOW, require_expiry=True).user_id == USER


@settings(deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(st.binary(max_size=20), min_size=3, max_size=3).map(lambda p: ".".join(map(b64, p)))
)
def test_no_text_raises_anything_but_the_refusal(token: str) -> None:
    """Any text, and any three segments, are refused in the one way."""
    with pytest.raises(InvalidTokenError):
        verify(token)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["exp", "iat", "nbf", "user_id", "x", "storage"]),
        JSON | st.just(USER) | st.just(NOW + 9),
    )
)
def test_whatever_is_signed_is_refused_or_can_be_renewed(claims: dict[str, Any]) -> None:
    """No claims of any type raise anything else, at verification or at renewal."""
    try:
        verified = verify(made({**claims}), require_expiry=False)
    except InvalidTokenError:
        return
    again = verify(tokens.renew(verified, secret=SECRET, now=NOW))
    assert {**again.said, "exp": 0, "iat": 0} == {**verified.said, "exp": 0, "iat": 0}
