"""Thumbnails are made as the recipe says, and a recipe that means nothing is refused in one sentence."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageDraw

from tests.unit.workers.pictures import BLUE, RED, near, quadrants, saved
from workers.imaging.limits import Limits
from workers.imaging.naming import recipe_id
from workers.imaging.reading import prepare
from workers.imaging.recipe import render
from workers.imaging.rendering import Rendering
from workers.imaging.variants import DEFAULT, parse
from workers.recipes import recipe_for, usual_recipe


def rendered(data: bytes, small: str) -> Rendering:
    prepare()
    return render(data, limits=Limits(), recipe=parse(f"large 1280, medium 480, {small}"))


def small_of(data: bytes, small: str) -> Image.Image:
    variant = rendered(data, small).variants[2]
    picture = Image.open(io.BytesIO(variant.data))
    picture.load()
    assert picture.size == (variant.width, variant.height)
    assert picture.get_format_mimetype() == variant.content_type
    return picture


@pytest.mark.parametrize("format_", ["jpeg", "webp", "avif"])
@pytest.mark.parametrize("source", ["JPEG", "PNG"])
def test_a_variant_has_its_own_format(format_: str, source: str) -> None:
    """The bytes are what the content type says, and look like the picture."""
    picture = small_of(saved(quadrants((900, 600)), source), f"small 160 {format_}").convert("RGB")
    assert picture.size == (160, 107)
    assert near(picture.getpixel((40, 50)), RED, 20)  # type: ignore[arg-type]
    assert near(picture.getpixel((120, 25)), BLUE, 30)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "small", "size"),
    [
        ((900, 600), "small 160x160 cover", (160, 160)),
        ((600, 900), "small 160x160 cover", (160, 160)),
        ((900, 600), "small 300x100 cover", (300, 100)),
        ((100, 50), "small 160x160 cover", (100, 50)),
        ((900, 100), "small 160x160 cover", (160, 100)),
        ((1, 30000), "small 160x160 cover", (1, 160)),
        ((900, 600), "small 100x300", (100, 67)),
        ((600, 900), "small 100x300", (100, 150)),
        ((600, 900), "small 2000x3000", (600, 900)),
    ],
)
def test_boxes_are_kept_and_nothing_is_enlarged(
    source: tuple[int, int], small: str, size: tuple[int, int]
) -> None:
    """`cover` fills its box as far as the picture reaches, `inside` stays within it."""
    assert small_of(saved(quadrants(source), "PNG"), small).size == size


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("lying", [True, False])
def test_the_liveliest_part_is_cut_out(place: float, lying: bool) -> None:
    """A checkered thing on a plain ground stays in the crop, wherever it is."""
    picture = Image.new("RGB", (1200, 400) if lying else (400, 1200), (180, 200, 220))
    middle = (1200 * place, 200) if lying else (200, 1200 * place)
    draw = ImageDraw.Draw(picture)
    for x in range(-40, 40, 20):
        for y in range(-40, 40, 20):
            dark = (x + y) // 20 % 2
            at = (middle[0] + x, middle[1] + y, middle[0] + x + 19, middle[1] + y + 19)
            draw.rectangle(at, fill=(0, 0, 0) if dark else (255, 255, 255))
    cut = small_of(saved(picture, "JPEG"), "small 160x160 cover").convert("L")
    assert cut.size == (160, 160)
    assert sum(cut.histogram()[:40]) > 300, "the dark fields are there"


@pytest.mark.parametrize("format_", ["webp", "avif"])
def test_transparency_is_kept_where_that_is_asked_for(format_: str) -> None:
    """Beside a white one: each variant has its own ground."""
    data = saved(Image.new("RGBA", (400, 300), (255, 0, 0, 128)), "PNG")
    picture = small_of(data, f"small 160 {format_} transparent")
    assert picture.mode == "RGBA"
    assert near(picture.getpixel((50, 50)), (255, 0, 0, 128), 12)  # type: ignore[arg-type]


def test_transparency_is_laid_on_the_colour_that_is_asked_for() -> None:
    """Half transparent black on green, also where the picture itself is grey."""
    for mode, value in (("RGBA", (0, 0, 0, 128)), ("LA", (0, 128))):
        data = saved(Image.new(mode, (400, 300), value), "PNG")
        picture = small_of(data, "small 160 #00ff00").convert("RGB")
        assert near(picture.getpixel((50, 50)), (0, 127, 0), 8)  # type: ignore[arg-type]


def test_sharpening_makes_edges_livelier() -> None:
    """The step between two greys overshoots where it is sharpened and nowhere else."""
    picture = Image.new("L", (640, 480), 90)
    picture.paste(160, (320, 0, 640, 480))
    plain, sharp = (
        small_of(saved(picture, "PNG"), f"small 160 q95 {words}").convert("L")
        for words in ("", "sharpen=1.5")
    )
    assert sharp.getextrema()[1] > plain.getextrema()[1] + 5  # type: ignore[operator]
    assert sharp.getpixel((10, 60)) == plain.getpixel((10, 60))


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "must hold variants"),
        ("large 1280, medium 480", "lacks small"),
        ("large 1280, large 480, medium 5, small 1", "box of 16"),
        (f"{DEFAULT}, small 20", "twice"),
        (f"{DEFAULT}, extra", "must hold variants"),
        (f"{DEFAULT}, extra 9999", "box of 16"),
        (f"{DEFAULT}, extra 100 png", "'png', which means nothing"),
        (f"{DEFAULT}, extra 100 q0", "'q0', which means nothing"),
        (f"{DEFAULT}, extra 100 transparent", "which JPEG cannot be"),
        (", ".join([DEFAULT, *(f"more{number} 100" for number in range(6))]), "more than 8"),
    ],
)
def test_a_recipe_that_means_nothing_is_refused(text: str, mistake: str) -> None:
    """The sentence says what is wrong, and a start with such a setting fails with it."""
    with pytest.raises(ValueError, match=mistake):
        parse(text)
    with pytest.raises(ValueError, match="THUMBNAILS"):
        usual_recipe(text)


def test_an_organizations_own_recipe_comes_first() -> None:
    """One that cannot be read any more costs nobody a picture."""
    usual = parse(DEFAULT)
    own = f"{DEFAULT}, square 100x100 cover"
    assert recipe_for({"_id": "o"}, usual) is usual
    assert recipe_for({"_id": "o", "thumbnails": own}, usual).specs[3].name == "square"
    assert recipe_for({"_id": "o", "thumbnails": "nonsense"}, usual) is usual


def test_a_recipe_is_named_after_what_it_makes() -> None:
    """Another way to write the same has the same name, another quality has another."""
    assert recipe_id(parse(DEFAULT)) == recipe_id(
        parse("large 1280x1280 jpeg q80, medium 480, small 160 inside")
    )
    assert recipe_id(parse(DEFAULT)) != recipe_id(parse("large 1280 q81, medium 480, small 160"))
