"""No body of a megabyte, however it is built, costs the door more than some milliseconds of CPU."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from ingest import idempotency, json_body, params, present, rack
from ingest.envelope import gzipped
from ingest.errors import BadRequestError, PayloadTooLargeError

SIZE = 2**20
PROMISED_SECONDS = 0.05
SLACK = 3  # for a machine that does other things meanwhile
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
DEEP = b"[b]" * 99


def filled(unit: bytes) -> bytes:
    """Return a form of nearly a megabyte; `%d` in the unit counts."""
    length = len(unit.replace(b"%d", b"12345")) + 1
    return b"&".join(unit.replace(b"%d", b"%d" % number) for number in range(SIZE // length))


COSTLY = {
    "a hundred levels": (FORM, filled(b"a" + DEEP + b"=1")),
    "a hundred other levels each": (FORM, filled(b"a%d" + DEEP + b"=1")),
    "a hundred odd levels": (FORM, filled(b"a" + b"[b" * 99 + b"=1")),
    "deep elements": (FORM, filled(b"a[]" + b"[b]" * 97 + b"=1")),
    "elements in elements": (FORM, filled(b"a" + b"[][b]" * 97 + b"=1")),
    "lines in deep names": (FORM, filled(b"a%d" + b"[b]" * 98 + b"[" + b"n" * 60_000 + b"\n[]=1")),
    "long deep names": (FORM, filled(b"a" + b"[b]" * 98 + b"[" + b"n" * 65_535 + b"]=1")),
    "as many levels as there may be": (
        FORM,
        b"&".join(b"a%d%b=%b" % (number, DEEP, b"x" * 25_000) for number in range(40)),
    ),
    "as many pairs as there may be": (
        FORM,
        b"&".join(b"a%d[b]=%b" % (number, b"%41" * 160) for number in range(2_048)),
    ),
    "pairs": (FORM, filled(b"a=1")),
    "nothing but separators": (FORM, b"&" * SIZE),
    "escapes": (FORM, b"a=" + b"%41" * (SIZE // 3 - 1)),
    "characters that are echoed as six": (FORM, b"metadatas=" + b"\0" * (SIZE - 20) + b"x"),
    "backslashes that look like a number": (FORM, b"metadatas=e%2B" + b"\\" * (SIZE - 20)),
    "empty texts": (JSON, b"[" + b'"",' * (SIZE // 3 - 2) + b"1]"),
    "objects": (JSON, b"[" + b'{"a":1},' * (SIZE // 8 - 2) + b"1]"),
    "integers": (JSON, b"[" + b"1," * (SIZE // 2 - 2) + b"1]"),
    "long integers": (JSON, b"[" + b",".join([b"9" * 4_300] * 243) + b"]"),
    "odd floats": (JSON, b"[" + b",".join([b"1.%0110d" % 1 + b"e200"] * 8_000) + b"]"),
    "parts": (
        "multipart/form-data; boundary=b",
        b"".join(
            b'--b\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n%b\r\n' % (n, b"x" * 900)
            for n in range(1_000)
        )
        + b"--b--\r\n",
    ),
}


def everything_done(body: bytes, content_type: str) -> None:
    """Do all that a POST does with its parameters, with a key and a compressed answer."""
    try:
        merged = params.merged(body=body, content_type=content_type, query=b"", format=None)
        echo = params.frozen(merged)
        idempotency.digest(merged)
        metadatas = params.frozen(merged.get("metadatas"))
    except (BadRequestError, PayloadTooLargeError):
        return
    now = datetime.now(UTC)
    import_ = {"_id": "i", "organization_id": "o", "image_id": None, "import_type": None, "album_id": None}
    import_ |= {"params": echo, "metadatas": metadatas, "created_at": now, "updated_at": now}
    gzipped(present.document(import_, zone=ZoneInfo("UTC")))


@pytest.mark.parametrize(("content_type", "body"), COSTLY.values(), ids=COSTLY)
def test_no_body_of_a_megabyte_costs_much(content_type: str, body: bytes) -> None:
    """Fifty milliseconds are promised, of CPU; the quickest of three counts."""
    spent = []
    for _ in range(3):
        begun = time.process_time()
        everything_done(body, content_type)
        spent.append(time.process_time() - begun)
    assert min(spent) < PROMISED_SECONDS * SLACK


def refused(body: bytes, content_type: str = FORM) -> str:
    """Return the code with which a body is refused."""
    with pytest.raises(BadRequestError) as refusal:
        params.merged(body=body, content_type=content_type, query=b"", format=None)
    return refusal.value.code


def test_the_pairs_of_a_form_are_counted() -> None:
    """As many as there may be pass, one more does not, and empty ones count."""
    assert len(rack.form(b"&".join(b"a%d" % number for number in range(rack.PAIRS)))) == rack.PAIRS
    assert refused(b"a&" * rack.PAIRS) == "parameters_too_many"
    assert refused(b"&" * rack.PAIRS) == "parameters_too_many"
    with pytest.raises(BadRequestError):
        rack.query(b"a;" * rack.PAIRS)


@pytest.mark.parametrize("name", [b"a%d" + DEEP, b"a%d" + b"[b" * 99, b"a[]" + b"[b%d]" + b"[b]" * 97])
def test_levels_and_pairs_are_counted_together(name: bytes) -> None:
    """Some names of a hundred levels pass; twice as many as may be, however they are spelled, are refused."""
    some = [name.replace(b"%d", b"%d" % number) + b"=1" for number in range(82)]
    assert rack.form(b"&".join(some[:19]))
    assert refused(b"&".join(some)) == "parameters_too_many"


def test_the_values_of_json_are_counted() -> None:
    """As many as there may be pass, one more does not; what stands in a text is no value."""
    most = b"[" + b",".join([b"1"] * (json_body.VALUES - 1)) + b"]"
    assert json_body.parsed(most)
    assert refused(most[:-1] + b",1]", JSON) == "parameters_too_many"
    texts = b'{"a":"' + b",[{" * 100_000 + b'\\"\\\\"}'
    assert json_body.parsed(texts) == {"a": ",[{" * 100_000 + '"\\'}


def test_long_integers_are_counted() -> None:
    """Ten of the longest pass; more would cost the square of their digits each."""
    assert json_body.parsed(b"[" + b",".join([b"9" * json_body.DIGITS] * 10) + b"]")
    assert refused(b"[" + b",".join([b"9" * json_body.DIGITS] * 11) + b"]", JSON) == "parameters_too_many"


def test_an_echo_is_bounded_as_it_is_shown() -> None:
    """Half a megabyte of what is written as six bytes passes, a whole one is a 413."""
    assert params.frozen({"a": "<" * (SIZE // 2 - 100)})
    for character in "<", "\0":
        with pytest.raises(PayloadTooLargeError):
            params.frozen({"a": character * SIZE})
