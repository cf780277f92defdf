"""`imports render`: make the thumbnails of files at hand, exactly as an import would, without any store.

The files go through the same decoder in the same disposable children as everybody's pictures, so one that
would end an import as `decoder_crashed` does no harm here either.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.operate.opening import Hands
from workers.operate.printing import Json, Trouble, answer, news, table

if TYPE_CHECKING:
    from workers.decoding.client import Decoder
    from workers.imaging.rendering import Rendering

NEWS_SECONDS = 2.0
UNREADABLE = "file_unreadable"  # not a verdict on a picture: there is none
KNOWN = ("width", "height", "format", "content_type", "frames", "orientation", "color_space", "taken_at", "camera", "lens", "exposure", "gps", "placeholder", "dhash", "dominant_color", "partial", "recipe")  # fmt: skip
EXTENSIONS = {"image/jpeg": "jpg", "image/webp": "webp", "image/avif": "avif"}
LONGEST_NAME = 200  # bytes of a file's name that its thumbnails keep; file systems allow 255 in all


def register(app: typer.Typer) -> None:
    app.command("render")(render)


def render(
    ctx: typer.Context,
    *,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Pictures, one or many.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the thumbnails; made if need be.")
    ],
    json: Json = False,
) -> None:
    """Render files here as an import would, and say of each what it is or why it is refused.

    Needs no store and no secret. A refused picture is an answer, so the exit code is 0 all the same; it is 1
    where a file could not be read.

    Example: `imports render photo.heic scan.tif --out thumbnails`
    """
    from workers.decoding.client import Decoder
    from workers.failures import Throttled
    from workers.imaging.limits import Limits
    from workers.recipes import usual_recipe

    hands: Hands = ctx.obj
    settings = hands.settings_for_rendering
    limits = Limits(
        pixels=settings.max_pixels,
        seconds=settings.render_seconds,
        memory_bytes=settings.render_memory_bytes,
        accept_truncated=settings.accept_truncated,
    )
    try:
        recipe = usual_recipe(settings.thumbnails)
    except ValueError as mistake:
        raise Trouble(str(mistake), exit_code=2) from None
    try:
        out.mkdir(parents=True, exist_ok=True)
        told = _rendered(files, out, Decoder(limits=limits, recipe=recipe, reuse=settings.render_reuse))
    except OSError as error:
        raise Trouble(f"Thumbnails cannot be written to {out} ({error.strerror}).") from None
    except Throttled as failure:
        raise Trouble(failure.detail) from None
    if json:
        answer(told)
    else:
        table(("FILE", "FORMAT", "SIZE", "THUMBNAILS, OR WHY NOT"), (_row(one) for one in told))
    if any(one["code"] == UNREADABLE for one in told):
        raise typer.Exit(1)


def _rendered(files: Sequence[Path], out: Path, decoder: Decoder) -> list[dict[str, Any]]:
    """Render all files, as many at a time as there are processors, and answer in their order."""
    stopping, told, said = threading.Event(), [], time.monotonic()

    def one(file: Path, stem: str) -> dict[str, Any]:
        return _one(file, out, stem, decoder, stopping)

    decoder.start()
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    try:
        for finished in pool.map(one, files, _stems(files)):
            told.append(finished)
            if time.monotonic() - said > NEWS_SECONDS:
                said = time.monotonic()
                news(f"{len(told)} of {len(files)} …")
    finally:
        # Also after Ctrl-C: what is being rendered ends within a blink, and the children with it.
        stopping.set()
        pool.shutdown(cancel_futures=True)
        decoder.stop()
    return told


def _one(file: Path, out: Path, stem: str, decoder: Decoder, stopping: threading.Event) -> dict[str, Any]:
    """Render one file. Raises Throttled, Interrupted, and OSError for thumbnails that cannot be written."""
    from workers.failures import Permanent

    try:
        # Not blocking: a pipe or a device among the files must not hold up the rest for ever.
        original = os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb")
    except OSError as error:
        return _refused(file, UNREADABLE, f"The file cannot be read: {error.strerror}.")
    with original:
        if not stat.S_ISREG(os.fstat(original.fileno()).st_mode):
            return _refused(file, UNREADABLE, "This is no regular file.")
        try:
            rendering = decoder.render(original, stopping=stopping)
        except Permanent as failure:
            return _refused(file, failure.code, failure.detail)
    known = {name: getattr(rendering, name) for name in KNOWN}
    return {
        "file": str(file),
        "code": None,
        "detail": None,
        **known,
        "outputs": _written(rendering, out, stem),
    }


def _written(rendering: Rendering, out: Path, stem: str) -> list[dict[str, Any]]:
    """Write the thumbnails and tell where they are."""
    outputs = []
    for variant in rendering.variants:
        path = out / f"{stem}.{variant.name}.{EXTENSIONS[variant.content_type]}"
        path.write_bytes(variant.data)
        size = {"width": variant.width, "height": variant.height, "bytes": len(variant.data)}
        outputs.append(
            {"name": variant.name, "path": str(path), **size, "content_type": variant.content_type}
        )
    return outputs


def _refused(file: Path, code: str, detail: str) -> dict[str, Any]:
    return {"file": str(file), "code": code, "detail": detail, **dict.fromkeys(KNOWN), "outputs": []}


def _stems(files: Iterable[Path]) -> Iterator[str]:
    """Name each file's thumbnails after it; files of one name from several folders are numbered."""
    seen: set[str] = set()
    for file in files:
        name = os.fsdecode(os.fsencode(file.name)[:LONGEST_NAME])
        stem, number = name, 1
        while stem in seen:
            number += 1
            stem = f"{name}-{number}"
        seen.add(stem)
        yield stem


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    if one["code"] is not None:
        return one["file"], None, None, f"{one['code']}: {one['detail']}"
    outputs = ", ".join(f"{each['name']} {each['width']} x {each['height']}" for each in one["outputs"])
    return one["file"], one["format"], f"{one['width']} x {one['height']}", outputs
