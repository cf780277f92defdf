"""HTTP in, image out: real processes from the Procfile, real stores, a simulated Salesforce."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from PIL import Image

from tests.unit.workers.pictures import quadrants, saved, turned
from tests.world import SIZES, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world"), environ={"TIME_ZONE": "Europe/Paris"}) as world:
        yield world


def test_the_samples_become_images(world: World) -> None:
    """Each sample picture that is posted ends as one image with three readable thumbnails, and nothing is left."""
    samples = world.samples()
    for name, attachment_id in samples.items():
        assert world.post(attachment_id, name).status_code == 200
    world.rest()
    world.idle()
    assert world.audit().faults() == {}
    assert len(world.accepted) == len(samples) == 12


def test_the_interfaces_own_example_becomes_an_image(world: World) -> None:
    """The example of the interface's documentation, pasted as it stands, is answered byte for byte and works."""
    answer = world.http.post(
        f"{world.url}/api/v1/imports",
        data="album_id=5005800000HEXCtAAP&filename=Image123.jpg&import_type=salesforce"
        "&metadatas[attachmentId]=00P4I00000zyw3eUAA&attachment_id=00P4I00000zyw3eUAA",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        timeout=15,
    )
    assert answer.status_code == 200
    assert len(answer.content) == 498
    import_id = answer.json()["id"]
    world.accepted[import_id] = "Image123.jpg"
    world.rest([import_id])
    shown = world.get(import_id)
    assert shown["status"] == "succeeded", shown["error"]
    browser = requests.Session()
    page = browser.get(world.ready["dashboard_url"], timeout=15).text
    for size in SIZES:
        address = f"/dashboard/images/{shown['image_id']}/{size}"
        assert f'href="{address}"' in page
        seen = browser.get(world.url + address, timeout=15)
        assert (seen.status_code, seen.headers["Content-Type"]) == (200, "image/jpeg")


def test_the_operator_is_whoever_has_the_password(world: World) -> None:
    """The ready line's link logs in and its password serves machines; without them this machine sees nothing."""
    assert world.operator("/metrics").status_code == 200
    for path in ("/metrics", "/dashboard"):
        assert requests.get(world.url + path, timeout=15).status_code == 401
    sent = requests.get(f"{world.url}/dashboard", headers={"Accept": "text/html"}, timeout=15)
    assert "/dashboard/login" in sent.url
    assert 'type="password"' in sent.text


def test_an_image_tells_where_its_files_are(world: World) -> None:
    """The image of an import names an original and three thumbnails, which the same token opens."""
    name, attachment_id = next(iter(world.samples().items()))
    import_id = world.submit(attachment_id, name)
    world.rest([import_id])
    shown = world.get(import_id)
    assert list(shown)[:8] == [
        "id",
        "organization_id",
        "image_id",
        "import_type",
        "album_id",
        "params",
        "created_at",
        "updated_at",
    ]
    assert shown["status"] == "succeeded"
    image = world.image(shown["image_id"])
    assert image["import_id"] == import_id
    assert [thumbnail["name"] for thumbnail in image["thumbnails"]] == list(SIZES)
    for thumbnail in image["thumbnails"]:
        assert max(thumbnail["width"], thumbnail["height"]) <= SIZES[thumbnail["name"]]
        assert world.blob(thumbnail["url"]).headers["Content-Type"] == thumbnail["content_type"]


def drawn() -> dict[str, tuple[bytes, str | None]]:
    """Return a picture of each class and the code that it must end with, None for an image."""
    photo = saved(quadrants((1500, 1000)), "JPEG")
    grey16 = Image.new("I;16", (64, 48), 40_000)
    good: dict[str, bytes] = {
        "plain.jpg": photo,
        "progressive.jpg": saved(quadrants(), "JPEG", progressive=True),
        "ink.jpg": saved(quadrants().convert("CMYK"), "JPEG"),
        "palette.gif": saved(quadrants().convert("P"), "GIF"),
        "clear.png": saved(quadrants().convert("RGBA"), "PNG"),
        "deep.png": saved(grey16, "PNG"),
        "page.tif": saved(quadrants(), "TIFF"),
        "web.webp": saved(quadrants(), "WEBP"),
        "new.avif": saved(quadrants(), "AVIF"),
        "phone.heic": saved(quadrants(), "HEIF"),
        "old.bmp": saved(quadrants(), "BMP"),
        "wavelet.jp2": saved(quadrants(), "JPEG2000"),
        "dot.png": saved(Image.new("RGB", (1, 1)), "PNG"),
        "line.png": saved(Image.new("L", (1, 5000)), "PNG"),
        "not-what-it-says.txt": photo,
        **{f"turned-{tag}.jpg": turned(tag, "JPEG") for tag in range(1, 9)},
    }
    bad: dict[str, tuple[bytes, str]] = {
        "cut.jpg": (photo[: len(photo) // 2], "image_truncated"),
        "bomb.png": (_png_that_claims(60_000, 60_000), "image_too_large"),
        "letter.pdf": (b"%PDF-1.4\n%%EOF\n" * 20, "image_unsupported"),
        "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image_unsupported"),
        "noise.jpg": (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 8, "image_corrupt"),
        "nothing.jpg": (b"", "attachment_empty"),
    }
    return {**{name: (data, None) for name, data in good.items()}, **bad}


def _png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )


def test_each_class_of_picture_comes_to_its_end(world: World) -> None:
    """Every admitted kind becomes an image, every hostile one a code, side by side in the same workers."""
    classes = drawn()
    ids = {world.submit(world.attach(name, data), name): name for name, (data, _code) in classes.items()}
    world.rest(ids)
    ends: dict[str, Any] = {}
    for import_id, name in ids.items():
        error = world.document(import_id)["error"]
        ends[name] = error and error["code"]
    assert ends == {name: code for name, (_data, code) in classes.items()}
    world.idle()
    failed = {name for name, (_data, code) in classes.items() if code}
    assert world.audit(expected=lambda name: "failed" if name in failed else "succeeded").faults() == {}
