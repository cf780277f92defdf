"""Draw the dozen sample pictures: small scenes in several formats, the same on every machine.

They are drawn and not shipped, so that the repository holds no pictures of unknown origin, and they
differ in what a thumbnail maker must get right: orientation, transparency, animation, palettes, grey.
"""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter, TiffImagePlugin

SIZE = (1600, 1200)
Scene = Callable[[Image.Image, random.Random], None]


def _sky(size: tuple[int, int], top: str, bottom: str) -> Image.Image:
    mask = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), mask)


def _hills(picture: Image.Image, chance: random.Random) -> None:
    draw, (width, height) = ImageDraw.Draw(picture), picture.size
    draw.ellipse((width * 0.62, height * 0.16, width * 0.76, height * 0.16 + width * 0.14), fill="#ffe9a8")
    for layer, colour in enumerate(("#6f8f72", "#4f7359", "#2f5241")):
        base, swing, phase = height * (0.55 + layer * 0.13), height * 0.07, chance.uniform(0, 6)
        line = [
            (x, base + swing * math.sin(phase + x / width * (5 + 2 * layer))) for x in range(0, width + 8, 8)
        ]
        draw.polygon([(0, height), *line, (width, height)], fill=colour)


def _city(picture: Image.Image, chance: random.Random) -> None:
    draw, (width, height) = ImageDraw.Draw(picture), picture.size
    for left in range(0, width, width // 14):
        top, right = chance.uniform(0.3, 0.75) * height, left + width // 16
        draw.rectangle((left, top, right, height), fill="#26324a")
        for x in range(left + 12, right - 12, 24):
            for y in range(int(top) + 16, height - 16, 36):
                if chance.random() < 0.45:
                    draw.rectangle((x, y, x + 10, y + 16), fill="#ffd97a")


def _sea(picture: Image.Image, chance: random.Random) -> None:
    draw, (width, height) = ImageDraw.Draw(picture), picture.size
    draw.rectangle((0, height * 0.5, width, height), fill="#1e5a7a")
    for _ in range(160):
        x, y = chance.uniform(0, width), chance.uniform(height * 0.52, height)
        draw.line((x, y, x + chance.uniform(20, 120), y), fill="#5fa3bd", width=3)
    middle, deck = width * 0.45, height * 0.56
    draw.polygon([(middle, deck - 260), (middle, deck - 20), (middle + 170, deck - 20)], fill="#f6f1e4")
    draw.polygon(
        [(middle - 120, deck), (middle + 200, deck), (middle + 150, deck + 60), (middle - 80, deck + 60)],
        fill="#8b3a2b",
    )


def _dots(picture: Image.Image, chance: random.Random) -> None:
    draw, (width, height) = ImageDraw.Draw(picture), picture.size
    for _ in range(90):
        x, y, r = chance.uniform(0, width), chance.uniform(0, height), chance.uniform(12, 90)
        draw.ellipse(
            (x - r, y - r, x + r, y + r), fill=chance.choice(("#e4572e", "#17bebb", "#ffc914", "#76b041"))
        )


def _exif(**tags: Any) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Sandbox", "Drawing board"
    exif[0x0112] = tags.get("orientation", 1)
    exif.get_ifd(0x8769)[0x9003] = "2019:04:08 17:38:57"
    if tags.get("gps"):
        third = TiffImagePlugin.IFDRational
        exif.get_ifd(0x8825).update(
            {1: "N", 2: (third(48), third(51), third(30)), 3: "E", 4: (third(2), third(17), third(40))}
        )
    return exif


def _cut_out(picture: Image.Image) -> Image.Image:
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).ellipse((60, 60, picture.width - 60, picture.height - 60), fill=255)
    picture.putalpha(mask.filter(ImageFilter.GaussianBlur(12)))
    return picture


def _draw(name: str, scene: Scene, colours: tuple[str, str], size: tuple[int, int] = SIZE) -> Image.Image:
    picture = _sky(size, *colours)
    scene(picture, random.Random(name))  # noqa: S311 - a drawing, not a secret
    return picture


def _save_all(folder: Path) -> None:
    dusk, noon, night, paper = (
        ("#3b2a5c", "#f2945c"),
        ("#5aa9e6", "#e8f4fb"),
        ("#0b1026", "#3a4a7a"),
        ("#fff7e6", "#f3d9c0"),
    )
    plain: dict[str, tuple[Scene, tuple[str, str], tuple[int, int], dict[str, Any]]] = {
        "hills-at-noon.jpg": (_hills, noon, SIZE, {"quality": 88, "exif": _exif(gps=True)}),
        "hills-at-dusk.jpg": (_hills, dusk, (2400, 1350), {"quality": 85, "progressive": True}),
        "city-at-night.png": (_city, night, SIZE, {}),
        "city-panorama.jpg": (_city, dusk, (3000, 750), {"quality": 85}),
        "boat.webp": (_sea, noon, SIZE, {"quality": 85}),
        "boat-scan.tif": (_sea, dusk, (1200, 900), {"compression": "tiff_lzw"}),
        "dots.bmp": (_dots, paper, (640, 480), {}),
        "stamp.png": (_dots, noon, (96, 64), {}),
    }
    for name, (scene, colours, size, options) in plain.items():
        _draw(name, scene, colours, size).save(folder / name, **options)
    turned = _draw("upright-phone-photo.jpg", _hills, noon, (1200, 1600)).transpose(Image.Transpose.ROTATE_90)
    turned.save(folder / "upright-phone-photo.jpg", quality=88, exif=_exif(orientation=6))
    _cut_out(_draw("badge.png", _dots, paper, (1000, 1000))).save(folder / "badge.png")
    _draw("old-postcard.jpg", _city, noon).convert("L").save(folder / "old-postcard.jpg", quality=85)
    frames = [_draw(f"lights-{turn}", _city, night, (480, 320)).quantize(64) for turn in range(4)]
    frames[0].save(folder / "city-lights.gif", save_all=True, append_images=frames[1:], duration=300, loop=0)


def draw_samples(folder: Path) -> None:
    """Fill the folder with the dozen, once: a finished folder appears whole or not at all."""
    if folder.is_dir():
        return
    unfinished = folder.with_name(f"{folder.name}.drawing")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    _save_all(unfinished)
    unfinished.rename(folder)
