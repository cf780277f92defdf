"""The seed's exchange through the pure modules: what it sends is read, and what it receives is written, exactly."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from common import tokens
from ingest import auth, headers, params, present

BODY = (
    b"album_id=5005800000HEXCtAAP&filename=Image123.jpg&import_type=salesforce"
    b"&metadatas[attachmentId]=00P4I00000zyw3eUAA&attachment_id=00P4I00000zyw3eUAA"
)
ANSWER = (
    b'{"id":"ab445ced-80a2-4659-beaa-e1e9b28edee5","organization_id":"91e4e020-bd76-4615-baf0-63263c5f3416",'
    b'"image_id":null,"import_type":"salesforce","album_id":"5005800000HEXCtAAP","params":{'
    b'"album_id":"5005800000HEXCtAAP","filename":"Image123.jpg","import_type":"salesforce",'
    b'"metadatas":{"attachmentId":"00P4I00000zyw3eUAA"},"attachment_id":"00P4I00000zyw3eUAA",'
    b'"controller":"api/v1/imports","action":"create"},'
    b'"created_at":"2019-04-08T19:38:57.787+02:00","updated_at":"2019-04-08T19:38:57.787+02:00"}'
)
TOKEN = (
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJleHAiOjE1NTQ3NTk1MzcsImlhdCI6MTU1NDc0NTEzNywidXNlcl9pZCI6ImY3NmNkOWQ3"
    "LTg1OWQtNGQzYi1iNjVlLWQ0ODE3ZGM5NmY1OCJ9.lGdKEApIZJj2cjQ7KYLtokP3cOkE18o-TEG5Tg7E3-0"
)
HEADERS = f"""\
Cache-Control: no-cache, no-store
Pragma: no-cache
Expires: Fri, 01 Jan 1990 00:00:00 GMT
Content-Type: application/json; charset=utf-8
X-token: {TOKEN}
Vary: Accept-Encoding
P3P: CP="NOI ADM DEV PSAi COM NAV OUR OTRo STP IND DEM"
X-Request-Id: 20e11784-6c4f-4f81-a530-4dcebe62cf4a
X-Runtime: 0.208305
X-Frame-Options: DENY
X-Content-Type-Options: nosniff
X-XSS-Protection: 1; mode=block
X-Download-Options: noopen
X-Permitted-Cross-Domain-Policies: none
Referrer-Policy: origin-when-cross-origin, strict-origin-when-cross-origin
"""


def test_the_seed_s_body_is_answered_with_its_498_bytes() -> None:
    """From the form that was sent to the JSON that came back, through the text that the store keeps."""
    merged = params.merged(
        body=BODY, content_type="application/x-www-form-urlencoded", query=b"", format=None
    )
    moment = datetime(2019, 4, 8, 17, 38, 57, 787_000, tzinfo=UTC)
    import_ = {
        "_id": "ab445ced-80a2-4659-beaa-e1e9b28edee5",
        "organization_id": "91e4e020-bd76-4615-baf0-63263c5f3416",
        "image_id": None,
        "import_type": params.text(merged, "import_type"),
        "album_id": params.text(merged, "album_id"),
        "params": params.frozen(merged),
        "created_at": moment,
        "updated_at": moment,
    }
    answer = present.document(import_, zone=ZoneInfo("Europe/Paris"))
    assert answer == ANSWER
    assert len(answer) == 498


def test_the_seed_s_headers_are_written_in_its_order() -> None:
    """All of them but Content-Length, which the server counts."""
    written = headers.answer(
        request_id=headers.request_id("20e11784-6c4f-4f81-a530-4dcebe62cf4a", lambda: "another"),
        runtime=headers.runtime(0.208305),
        token=TOKEN,
    )
    assert "".join(f"{name}: {value}\n" for name, value in written) == HEADERS


def test_the_seed_s_token_is_found_in_its_header_and_renewed_to_the_same_claims() -> None:
    """Its secret is unknown, so it is refused; the same claims under a known one come back character for character."""
    assert auth.token_of(f'Token token="{TOKEN}"') == TOKEN
    payload = TOKEN.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    secret = "a secret that has at least 32 bytes"
    minted = tokens.mint(
        claims["user_id"], secret=secret, now=claims["iat"], lifetime=claims["exp"] - claims["iat"]
    )
    assert minted.rpartition(".")[0] == TOKEN.rpartition(".")[0]
    verified = tokens.verify(minted, secrets=[secret], now=claims["iat"], require_expiry=True)
    assert tokens.renew(verified, secret=secret, now=claims["iat"]) == minted
