"""Turn whatever a decoder can do wrong into one failure with a code and a sentence for people.

Pillow and its plugins raise a dozen unrelated kinds on hostile bytes (`OSError`, `SyntaxError`, `KeyError`,
`struct.error`, `zlib.error`, …), and the next version may raise others. So nothing is enumerated: what is
not recognised as something more telling is a picture that is damaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from workers.failures import Permanent

SENTENCES = {
    "image_empty": "The attachment has no bytes. Upload the picture again.",
    "image_unsupported": "This is {kind}, not a picture of a supported format. Upload it as JPEG, PNG, GIF,"
    " WebP, TIFF, BMP, ICO, AVIF, HEIC or JPEG 2000.",
    "image_corrupt": "The {kind} is damaged and cannot be decoded. Open it in a picture program, save it anew"
    " and upload it again.",
    "image_truncated": "The {kind} ends too early: a part of the file is missing. Upload the whole file again.",
    "image_too_large": "The {kind} has more pixels than the {pixels:,} that are allowed. Upload a smaller version.",
    "image_too_complex": "The {kind} is built so that decoding it costs far more than a picture of its size"
    " should. Save it anew as a plain JPEG or PNG and upload it again.",
    "decoder_crashed": "The decoder crashed twice on this picture. Save it anew in a picture program and upload"
    " it again.",
    "render_timeout": "The picture was not rendered within {seconds:g} s, twice. Upload a smaller or simpler"
    " version, or retry when the machines are less busy.",
    "render_memory": "The picture needs more memory than the decoder is allowed. Upload a smaller version.",
}


def refusal(code: str, **facts: object) -> Permanent:
    """Return the failure that ends an import for what its picture is."""
    facts.setdefault("kind", "picture")
    return Permanent(code, SENTENCES[code].format(**facts))


@contextmanager
def refusing(*, kind: str, pixels: int) -> Iterator[None]:
    """Let nothing out but Permanent: `kind` names the format for people, `pixels` is the limit in force."""
    try:
        yield
    except Permanent:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise refusal("image_too_large", kind=kind, pixels=pixels) from error
    except MemoryError as error:
        raise refusal("render_memory") from error
    except Exception as error:
        raise refusal(_code_of(error), kind=kind) from error


def _code_of(error: Exception) -> str:
    text = str(error).lower()
    if "decompressed data too large" in text or "text memory" in text:
        return "image_too_complex"  # a text or profile chunk that unpacks to far more than it holds
    if isinstance(error, EOFError) or "truncated" in text or "unexpected end" in text:
        return "image_truncated"
    return "image_corrupt"
