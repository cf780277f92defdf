"""Write a rendering as a frame and read it back; what does not read as one is not believed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from workers.failures import Permanent
from workers.imaging.limits import Limits
from workers.imaging.refusals import SENTENCES
from workers.imaging.rendering import Rendering, Variant
from workers.imaging.variants import Recipe

_IMAGE_TYPE = re.compile(r"image/[a-z0-9-]{1,20}")
_MAX_RESULT_BYTES = 64 * 2**20  # three thumbnails of the extremest shape are a fiftieth of it


class UnbelievableError(Exception):
    """A child answered with something that the code which we gave it never says."""


def limits_header(limits: Limits) -> dict[str, Any]:
    """Return limits as JSON values."""
    return asdict(limits)


def result_header(rendering: Rendering) -> tuple[dict[str, Any], bytes]:
    """Return a rendering as JSON values and the bytes of its variants, one after the other.

    What the file says of itself decides nothing: a value that the other side would not believe is left out here, or it
    would take this child for one in strange hands.
    """
    header = {name: value for name, value in _shallow(rendering).items() if name != "variants"}
    header["variants"] = [
        {name: value for name, value in _shallow(variant).items() if name != "data"}
        | {"bytes": len(variant.data)}
        for variant in rendering.variants
    ]
    for name, read in _SAID_OF_ITSELF.items():
        header[name] = _believed(read, header[name])
    return header, b"".join(variant.data for variant in rendering.variants)


def refusal_header(failure: Permanent) -> dict[str, Any]:
    """Return a refusal as JSON values."""
    return {"code": failure.code, "detail": failure.detail}


def refusal_of(header: Any) -> Permanent:
    """Return the refusal that a child told. Raises UnbelievableError for a code that is not ours."""
    if not isinstance(header, dict):
        raise UnbelievableError("no refusal")
    code, detail = header.get("code"), header.get("detail")
    if not isinstance(code, str) or code not in SENTENCES or not isinstance(detail, str):
        raise UnbelievableError("no refusal of ours")
    return Permanent(code, detail[:500])


def result_size(header: Any) -> int:
    """Return how many bytes follow a result. Raises UnbelievableError where that is absurd."""
    try:
        sizes = [variant["bytes"] for variant in header["variants"]]
    except (TypeError, KeyError) as error:
        raise UnbelievableError("no variants") from error
    if not all(_count(size) for size in sizes) or sum(sizes) > _MAX_RESULT_BYTES:
        raise UnbelievableError("absurd sizes")
    return int(sum(sizes))


def result_of(header: Mapping[str, Any], body: bytes, *, recipe: Recipe) -> Rendering:
    """Return the rendering by `recipe` that a child told. Raises UnbelievableError if it is not shaped like one."""
    try:
        variants, at = [], 0
        for told in header["variants"]:
            data = body[at : at + told["bytes"]]
            at += told["bytes"]
            variants.append(
                Variant(
                    name=_text(told["name"]),
                    width=_positive(told["width"]),
                    height=_positive(told["height"]),
                    content_type=_image_type(told["content_type"]),
                    data=data,
                )
            )
        return Rendering(
            format=_text(header["format"]),
            content_type=_image_type(header["content_type"]),
            width=_positive(header["width"]),
            height=_positive(header["height"]),
            frames=None if header["frames"] is None else _positive(header["frames"]),
            orientation=_positive(header["orientation"]),
            color_space=_optional_text(header["color_space"]),
            taken_at=_optional_text(header["taken_at"]),
            camera=_optional_text(header["camera"]),
            lens=_optional_text(header["lens"]),
            exposure=_numbers(header["exposure"]),
            gps=_numbers(header["gps"]),
            placeholder=_optional_text(header["placeholder"]),
            dhash=_optional_text(header["dhash"]),
            dominant_color=_optional_text(header["dominant_color"]),
            partial=bool(header["partial"]),
            recipe=_text(header["recipe"]),
            variants=_complete(variants, recipe),
        )
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise UnbelievableError("no rendering") from error


def _believed(read: Callable[[Any], object], value: Any) -> object:
    """Return the value as it is read; None where it cannot be believed."""
    try:
        return read(value)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return None


def _complete(variants: list[Variant], recipe: Recipe) -> tuple[Variant, ...]:
    if [variant.name for variant in variants] != [spec.name for spec in recipe.specs]:
        raise ValueError("not the thumbnails that were asked for")
    return tuple(variants)


def _shallow(value: Rendering | Variant) -> dict[str, Any]:
    """Return the fields as they are: `asdict` would copy the bytes of every thumbnail."""
    return {name: getattr(value, name) for name in value.__slots__}


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _positive(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**31:
        raise ValueError("not a length")
    return value


def _numbers(value: Mapping[str, Any] | None) -> dict[str, float] | None:
    if value is None:
        return None
    return {_text(name): _finite(number) for name, number in value.items()}


def _finite(value: object) -> float:
    if not isinstance(value, int | float) or not abs(value) < 10**9:  # also false for NaN
        raise ValueError("not a coordinate")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 1000:
        raise ValueError("not a text")
    return value


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _image_type(value: object) -> str:
    if not isinstance(value, str) or not _IMAGE_TYPE.fullmatch(value):
        raise ValueError("not the type of a picture")
    return value


_SAID_OF_ITSELF: dict[str, Callable[[Any], object]] = {
    "taken_at": _optional_text,
    "camera": _optional_text,
    "lens": _optional_text,
    "color_space": _optional_text,
    "exposure": _numbers,
    "gps": _numbers,
}
