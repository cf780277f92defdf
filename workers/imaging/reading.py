"""Open a picture from hostile bytes and bring its first frame into memory, no larger than needed.

Every limit is judged from the header. JPEG and JPEG 2000 are decoded at the smallest scale that still
gives the largest thumbnail its full sharpness. `n_frames` is never touched: counting the frames of an
animation decodes them.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import pillow_heif
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Image,
    ImageFile,
    ImagePalette,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from workers.failures import Permanent
from workers.imaging import exif, jpegs, pngs, tiffs
from workers.imaging.baggage import baggage_bytes
from workers.imaging.containers import simplified
from workers.imaging.depth import is_decoded_by_planes
from workers.imaging.footprint import kind_of, most_pixels, webp_pixels
from workers.imaging.formats import RAW, Format, format_of, likeness
from workers.imaging.guard import refusing
from workers.imaging.isobmff import Container, Rectangle, container_of
from workers.imaging.limits import Limits
from workers.imaging.refusals import refusal
from workers.imaging.scans import too_many_scans
from workers.imaging.signals import Signal, signal_of
from workers.imaging.sycc import half_colour, laid_out_anew, said_to_be_rgb
from workers.imaging.variants import Spec

# The decoders of the allow-list, imported by name so that Pillow never loads its forty others.
DECODERS = (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

_HEAD = 4096  # enough to tell an SVG behind an XML prologue
# Decoding straight to a little above the target keeps its sharpness: at exactly the target it is lost.
_DRAFT_FACTOR = 1.15


@dataclass(frozen=True, slots=True)
class Source:
    """A decoded first frame, and what its file says of it.

    `size` is that of the file as stored and cropped; the picture may be smaller by a draft. `crop` is what is
    left to cut of it. An HDR picture whose planes are deeper than Pillow's is not decoded yet: `data` is what
    its decoder is to read.
    """

    picture: Image.Image
    data: bytes
    format: str
    content_type: str
    size: tuple[int, int]
    partial: bool
    signal: Signal
    container: Container
    crop: Rectangle | None


# By `strptime`, by Pillow's conversions to and from grey, and by texts of EXIF and XMP in other alphabets.
LOADED_LATE = (
    "_strptime",
    "PIL.PpmImagePlugin",
    "encodings.utf_16_be",
    "encodings.utf_16_le",
    "encodings.utf_16",
)


def prepare() -> None:
    """Make this process ready to decode: once, while it has a single thread. Repeating it does no harm.

    A child that decodes may open no file, so what Python or Pillow would load later is loaded here.
    """
    for name in LOADED_LATE:
        importlib.import_module(name)
    pillow_heif.register_heif_opener(thumbnails=False, decode_threads=1)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the child has one core's worth of limits


@contextmanager
def read(data: bytes, *, specs: Sequence[Spec], limits: Limits) -> Iterator[Source]:
    """Yield the first frame of `data`, decoded for the variants of `specs`.

    Raises Permanent, also for what goes wrong with the picture inside the `with` block.
    """
    kind = _admitted(data)
    with _quiet(limits), refusing(kind=kind.name, pixels=limits.pixels):
        if kind.decoders == ("JPEG",) and too_many_scans(data, limits.scans):
            raise refusal("image_too_complex", kind=kind.name)
        if baggage_bytes(data, kind.name) > limits.metadata_bytes:
            raise refusal("image_too_complex", kind=kind.name)
        source = _loaded(data, kind, specs, limits)
        with source.picture:
            yield source


def _admitted(data: bytes) -> Format:
    if not data:
        raise refusal("image_empty")
    kind = format_of(data[:64])
    if kind is None:
        raise refusal("image_unsupported", kind=likeness(data[:_HEAD]))
    if kind.name == "TIFF" and tiffs.is_raw(data):
        # Its first picture is a preview, often of a thumbnail's size: never shown as the picture.
        raise refusal("image_unsupported", kind=RAW)
    return kind


@contextmanager
def _quiet(limits: Limits) -> Iterator[None]:
    """Silence the twenty-five kinds of warnings that odd files cause; turn the one on size into an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limits.pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _loaded(data: bytes, kind: Format, specs: Sequence[Spec], limits: Limits) -> Source:
    """Decode strictly; once more and leniently where the file is cut off and that is allowed."""
    try:
        with refusing(kind=kind.name, pixels=limits.pixels):
            return _decoded(data, kind, specs, limits, partial=False)
    except Permanent as failure:
        if (again := _once_more(data, kind, specs, limits, failure)) is not None:
            return again
        if failure.code != "image_truncated" or not limits.accept_truncated:
            raise
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # a switch of the whole process, so it goes back at once
    try:
        return _decoded(data, kind, specs, limits, partial=True)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _once_more(
    data: bytes, kind: Format, specs: Sequence[Spec], limits: Limits, failure: Permanent
) -> Source | None:
    """Decode a file whose pixels are whole, though what stands around them is not; None where they are not."""
    with contextlib.suppress(Permanent), refusing(kind=kind.name, pixels=limits.pixels):
        if kind.name == "JPEG" and failure.code in ("image_corrupt", "image_truncated"):
            mended = jpegs.mended(data)
            if mended is not None and (not mended.ends_early or _is_whole(mended)):
                return _decoded(mended.data, kind, specs, limits, partial=False)
        if kind.name == "PNG":
            before = PngImagePlugin.MAX_TEXT_CHUNK
            PngImagePlugin.MAX_TEXT_CHUNK = limits.metadata_bytes
            try:
                return _decoded(pngs.without_damaged_extras(data), kind, specs, limits, partial=False)
            finally:
                PngImagePlugin.MAX_TEXT_CHUNK = before
    return None


def _is_whole(mended: jpegs.Mended) -> bool:
    """Tell whether every row is there: what stands behind the last scan then changes no pixel."""
    with Image.open(io.BytesIO(mended.data), formats=("JPEG",)) as one:
        pixels = one.tobytes()
    with Image.open(io.BytesIO(mended.filled), formats=("JPEG",)) as other:
        return pixels == other.tobytes()


def _decoded(data: bytes, kind: Format, specs: Sequence[Spec], limits: Limits, *, partial: bool) -> Source:
    picture, data = _opened(data, kind, specs, limits)
    size, shrink, half = picture.size, 0, None
    container = container_of(data) if picture.format in ("AVIF", "HEIF") else Container()
    signal = signal_of(picture, data, container)
    # The HEIF library crops by itself; the AVIF plugin hands over what was to be cut away.
    crop = container.crop(size) if picture.format == "AVIF" else None
    if signal.needs_depth or crop is not None:
        most = most_pixels(kind_of(picture, is_deep=True), file_bytes=len(data), specs=specs, limits=limits)
        if size[0] * size[1] > most:
            raise refusal("image_too_large", kind=kind.name, pixels=most)
    if isinstance(picture, JpegImagePlugin.JpegImageFile):
        _draft(picture, largest_of(specs, size))
    elif isinstance(picture, Jpeg2KImagePlugin.Jpeg2KImageFile):
        half = half_colour(data)
        shrink = _halvings(size, largest_of(specs, size))
        if half is not None:
            shrink = half.halvings(shrink)
            if half.is_odd:
                picture.close()
                picture, _ = _opened(said_to_be_rgb(data), kind, specs, limits)
        cast("Jpeg2KImagePlugin.Jpeg2KImageFile", picture).reduce = shrink
    try:
        if not (signal.needs_depth and is_decoded_by_planes(picture)):
            picture.load()
    except OSError:
        if not shrink:
            raise
        # A JPEG 2000 file may have fewer levels than were asked for: then it is decoded whole.
        picture.close()
        picture, data = _opened(data, kind, specs, limits)
        picture.load()
    exif.find_elsewhere(picture, data)
    if half is not None and half.is_odd:
        picture.paste(laid_out_anew(picture, half))
    return Source(
        picture=picture,
        data=data,
        format=picture.format or kind.name,
        content_type=_content_type(picture),
        size=size if crop is None else (crop[2] - crop[0], crop[3] - crop[1]),
        partial=partial,
        signal=signal,
        container=container,
        crop=crop,
    )


def _content_type(picture: ImageFile.ImageFile) -> str:
    """Return the type under which the original is best served."""
    if picture.format == "MPO":
        return "image/jpeg"  # a JPEG with a second picture behind it, which every browser shows
    if picture.format == "HEIF":
        return picture.get_format_mimetype() or "image/heif"  # tells HEIC from other codecs
    return Image.MIME[picture.format or "JPEG"]


def _opened(
    data: bytes, kind: Format, specs: Sequence[Spec], limits: Limits
) -> tuple[ImageFile.ImageFile, bytes]:
    """Return the picture, admitted by its size, and the bytes that its decoder reads."""

    def admit(pixels: int, footprint: str) -> None:
        most = most_pixels(footprint, file_bytes=len(data), specs=specs, limits=limits)
        if pixels > most:
            raise refusal("image_too_large", kind=kind.name, pixels=most)

    if kind.name == "WebP":
        admit(webp_pixels(data) or 0, "WEBP")
    picture, data = _identified(data, kind)
    try:
        admit(picture.width * picture.height, kind_of(picture))
    except Permanent:
        picture.close()
        raise
    return picture, data


def _identified(data: bytes, kind: Format) -> tuple[ImageFile.ImageFile, bytes]:
    """Let each of the decoders try; for AVIF and HEIC once more with a container that leaves nothing to refuse."""
    if kind.name == "TIFF":
        return _identified_tiff(tiffs.classic(data) or data, kind)
    try:
        return Image.open(io.BytesIO(data), formats=kind.decoders), data
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
        raise
    except Exception:
        plainer = simplified(data) if "AVIF" in kind.decoders else None
        if plainer is None:
            raise
        return Image.open(io.BytesIO(plainer), formats=kind.decoders), plainer


def _identified_tiff(data: bytes, kind: Format) -> tuple[ImageFile.ImageFile, bytes]:
    """Have Pillow open a TIFF in the way that it reads right; one whose samples it does not know is not supported."""
    # Pillow's own reader garbles planes of sixteen bits; libtiff does not.
    before, TiffImagePlugin.READ_LIBTIFF = TiffImagePlugin.READ_LIBTIFF, tiffs.is_planar(data)
    try:
        picture = Image.open(io.BytesIO(data), formats=kind.decoders)
    except UnidentifiedImageError:
        described = tiffs.samples(data)
        if described is None:
            raise
        raise refusal(
            "image_unsupported", kind=f"a TIFF of a kind that is rare in pictures ({described})"
        ) from None
    finally:
        TiffImagePlugin.READ_LIBTIFF = before
    tags = cast("TiffImagePlugin.TiffImageFile", picture).tag_v2
    colours = tags.get(TiffImagePlugin.COLORMAP, ()) if picture.mode == "P" else ()
    if colours and max(colours) < 256:
        picture.palette = ImagePalette.raw("RGB;L", bytes(colours))
    return picture, data


def largest_of(specs: Sequence[Spec], size: tuple[int, int]) -> tuple[int, int]:
    """Return the least size that serves every variant, whichever way the picture will be turned."""
    turned = (size[1], size[0])
    upright = [spec.scaled(size) for spec in specs]
    lying = [(width, height) for height, width in (spec.scaled(turned) for spec in specs)]
    return max(upright + lying)


def _draft(picture: JpegImagePlugin.JpegImageFile, wanted: tuple[int, int]) -> None:
    """Ask for the smallest scale that still serves, and for brightness and colour as they are stored."""
    mode = "YCbCr" if picture.mode == "RGB" and _keeps_colour_apart(picture) else None
    picture.draft(mode, cast("tuple[int, int]", (wanted[0] * _DRAFT_FACTOR, wanted[1] * _DRAFT_FACTOR)))


def _keeps_colour_apart(picture: JpegImagePlugin.JpegImageFile) -> bool:
    """Tell whether three planes are brightness and colour and not red, green and blue, as libjpeg judges it."""
    if "jfif" in picture.info:
        return True
    if "adobe_transform" in picture.info:
        return bool(picture.info["adobe_transform"])
    return [layer[0] for layer in picture.layer] != [ord("R"), ord("G"), ord("B")]


def _halvings(size: tuple[int, int], wanted: tuple[int, int]) -> int:
    return max(0, math.floor(math.log2(max(size) / (max(wanted) * _DRAFT_FACTOR))))
