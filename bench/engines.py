"""Make three JPEG thumbnails of a file, each way that the product is compared with.

    python -m bench.engines NAME      reads file names on standard input, one a line; answers one JSON line each

Colour is handled alike on all sides: orientation applied, profiles brought to sRGB on the small picture (and only
where there is one: asking libvips for an export profile regardless would cost it a round trip through Lab),
transparency laid on white, nothing enlarged, JPEG at quality 80 with 4:2:0, without tables of their own, without
metadata. One process for each engine, one thread in each.
"""

from __future__ import annotations

import base64
import io
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZES = (("large", 1280), ("medium", 480), ("small", 160))
QUALITY = 80
Made = dict[str, bytes]


def product() -> Callable[[str], Made]:
    """The product's own render, in this process."""
    from workers.imaging.local import product as render  # noqa: PLC0415

    return render


def naive() -> Callable[[str], Made]:
    """Pillow as most would write it: the file opened and decoded for each size."""
    from PIL import Image, ImageCms, ImageOps  # noqa: PLC0415

    wanted = ImageCms.createProfile("sRGB")

    def one(path: str, edge: int) -> bytes:
        with Image.open(path) as opened:
            opened.load()
            profile = opened.info.get("icc_profile")
            picture = ImageOps.exif_transpose(opened)
        if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        picture = picture if picture.mode in ("RGB", "L") else picture.convert("RGB")
        longest = max(picture.size)
        if longest > edge:
            width, height = (max(1, round(side * edge / longest)) for side in picture.size)
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        if profile and picture.mode == "RGB":
            try:
                source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
                picture = ImageCms.profileToProfile(picture, source, wanted, outputMode="RGB") or picture
            except ImageCms.PyCMSError:
                pass
        picture.info.clear()
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=QUALITY)
        return out.getvalue()

    return lambda path: {name: one(path, edge) for name, edge in SIZES}


def _vips() -> Any:
    import pyvips  # noqa: PLC0415

    pyvips.cache_set_max(0)
    return pyvips


def _vips_thumbnail(pyvips: Any, source: Any, edge: int) -> Any:
    options: dict[str, Any] = {"height": edge, "size": "down"}
    if isinstance(source, str):
        probe = pyvips.Image.new_from_file(source)
        if probe.get_typeof("icc-profile-data"):
            options["export_profile"] = "srgb"
        return pyvips.Image.thumbnail(source, edge, **options)
    return source.thumbnail_image(edge, **options)


def _vips_saved(picture: Any) -> bytes:
    if picture.hasalpha():
        picture = picture.flatten(background=[255, 255, 255])
    saved: bytes = picture.jpegsave_buffer(Q=QUALITY, keep="none")
    return saved


def vips_cascade() -> Callable[[str], Made]:
    """pyvips: one shrink-on-load, each size from the next larger one."""
    pyvips = _vips()

    def make(path: str) -> Made:
        picture, made = path, {}
        for name, edge in SIZES:
            picture = _vips_thumbnail(pyvips, picture, edge).copy_memory()
            made[name] = _vips_saved(picture)
        return made

    return make


def vips_each() -> Callable[[str], Made]:
    """pyvips: one `thumbnail` for each size."""
    pyvips = _vips()
    return lambda path: {name: _vips_saved(_vips_thumbnail(pyvips, path, edge)) for name, edge in SIZES}


ENGINES: dict[str, Callable[[], Callable[[str], Made]]] = {
    "product": product,
    "pillow naive": naive,
    "pyvips cascade": vips_cascade,
    "pyvips each": vips_each,
}


def serve(name: str) -> None:
    """Answer each file name with what was made of it and what that cost, children counted."""
    make = ENGINES[name]()
    for line in sys.stdin:
        order = json.loads(line)
        spent, began = _cpu(), time.perf_counter()
        try:
            made, error = make(order["path"]), None
        except Exception as failure:  # noqa: BLE001 - every engine refuses in its own way
            made, error = {}, f"{type(failure).__name__}: {failure}"[:200]
        answer = {
            "cpu_s": _cpu() - spent,
            "wall_s": time.perf_counter() - began,
            "error": error,
            "peak_bytes": _peak(),
            "made": {key: base64.b64encode(data).decode() for key, data in made.items()}
            if order["keep"]
            else {},
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    serve(sys.argv[1])
